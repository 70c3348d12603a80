import ApusBroker
import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusUpstream

@Suite("What is read over one connection to a broker")
struct LaneTests {
    private func world() -> (LaneBench, BrokerLane, LaneReaders) {
        let bench = LaneBench()
        let lane = BrokerLane(BrokerID(rawValue: 1), bench)
        return (bench, lane, LaneReaders(bench, lane))
    }

    @Test("all that wait wait in one request, and get what comes, each once")
    func together() {
        let (bench, lane, readers) = self.world()
        for number in 0..<5 { readers.begin(LaneBench.name(number)) }
        bench.settle()
        #expect(bench.inFlight == 1 && bench.polls == 1 && lane.parkedCount == 5)
        bench.ends = [LaneBench.name(1): 3, LaneBench.name(4): 1]
        bench.settle()
        #expect(readers.positions[LaneBench.name(1)] == 3 && readers.positions[LaneBench.name(4)] == 1)
        #expect(readers.positions[LaneBench.name(0)] == 0)
        bench.ends[LaneBench.name(1)] = 9
        bench.settle()
        #expect(readers.positions[LaneBench.name(1)] == 9)
        #expect(bench.inFlight == 1 && lane.parkedCount == 5 && readers.failures == 0)
    }

    @Test("with a thousand that wait, a record in one costs a request that names that one")
    func bytes() {
        let (bench, lane, readers) = self.world()
        for number in 0..<1_000 { readers.begin(LaneBench.name(number, of: UInt64(number / 10))) }
        bench.settle()
        #expect(lane.parkedCount == 1_000)
        // The one that names them all, and asks for a session.
        let first = bench.bytesSent
        #expect(first > 30_000)
        let requests = bench.requestsSent
        for round in 1...100 {
            bench.ends[LaneBench.name(7, of: 0)] = Int64(round)
            bench.settle()
            #expect(readers.positions[LaneBench.name(7, of: 0)] == Int64(round))
        }
        let each = (bench.bytesSent - first) / 100
        #expect(each < 200, "\(each) bytes")
        #expect(bench.requestsSent - requests == 100)
    }

    @Test("while a broker stalls two requests are under way, however many come")
    func stalled() {
        let (bench, lane, readers) = self.world()
        readers.begin(LaneBench.name(0))
        bench.settle()
        for number in 1..<500 {
            readers.begin(LaneBench.name(number))
            bench.run()
            #expect(bench.inFlight <= UpstreamLimits.pollsInFlightMax)
        }
        #expect(bench.inFlight == UpstreamLimits.pollsInFlightMax && lane.parkedCount == 500)
        for number in 0..<500 { bench.ends[LaneBench.name(number)] = 1 }
        bench.settle()
        for number in 0..<500 { #expect(readers.positions[LaneBench.name(number)] == 1) }
    }

    @Test("a broker that has no room for a session is told all of them each time, and asked again later")
    func withoutSession() {
        let (bench, _, readers) = self.world()
        bench.givesSessions = false
        for number in 0..<100 { readers.begin(LaneBench.name(number)) }
        bench.settle()
        let requests = bench.requestsSent
        for round in 1...10 {
            bench.ends[LaneBench.name(3)] = Int64(round)
            bench.settle()
        }
        #expect(readers.positions[LaneBench.name(3)] == 10)
        #expect(bench.requestsSent - requests == 10)
        bench.givesSessions = true
        bench.now = bench.now.advanced(by: UpstreamLimits.sessionAgainWait + .seconds(1))
        for round in 11...12 {
            bench.ends[LaneBench.name(3)] = Int64(round)
            bench.settle()
        }
        let bytes = bench.bytesSent
        bench.ends[LaneBench.name(3)] = 13
        bench.settle()
        #expect(bench.bytesSent - bytes < 200 && readers.positions[LaneBench.name(3)] == 13)
    }

    @Test("a reader whose time is over is told that there was nothing")
    func late() {
        let (bench, lane, _) = self.world()
        let answers = LaneBench.Answers()
        lane.park(
            bench.read(LaneBench.name(0), from: 0, waiting: .seconds(5)) { answers.results.append($0) },
            LaneBench.name(0).topic)
        bench.settle()
        bench.now = bench.now.advanced(by: .seconds(5))
        bench.answerOldest()
        #expect(answers.results.count == 1)
        #expect(answers.results.first?.error == nil && answers.results.first?.batches.isEmpty == true)
        #expect(lane.parkedCount == 0 && bench.inFlight == 0)
    }

    @Test("a connection that is lost is told to those who were asked for, and they can come again")
    func lost() {
        let (bench, lane, readers) = self.world()
        for number in 0..<3 { readers.begin(LaneBench.name(number)) }
        bench.settle()
        bench.cut()
        #expect(readers.failures == 3)
        bench.ends[LaneBench.name(2)] = 4
        bench.settle()
        #expect(readers.positions[LaneBench.name(2)] == 4 && lane.parkedCount == 3)
    }

    @Test(
        "whatever is cut, forgotten and held up, every reader gets to the end of its partition",
        arguments: 0..<40 as Range<UInt64>)
    func anything(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let (bench, lane, readers) = self.world()
        let names = (0..<30).map { LaneBench.name($0 % 6, of: UInt64($0 / 6)) }
        for _ in 0..<400 {
            let name = names[Int.random(in: 0..<names.count, using: &generator)]
            switch Int.random(in: 0..<12, using: &generator) {
            case 0...2: if !readers.isReading(name) { readers.begin(name) }
            case 3: readers.end(name)
            case 4...6: bench.ends[name, default: 0] += 1
            case 7...8: bench.answerOldest()
            case 9: bench.settle()
            case 10:
                switch Int.random(in: 0..<6, using: &generator) {
                case 0: bench.cut()
                case 1: bench.forgetSession()
                case 2: bench.givesSessions.toggle()
                default: bench.now = bench.now.advanced(by: .seconds(1))
                }
            default: bench.run()
            }
            #expect(bench.polls <= UpstreamLimits.pollsInFlightMax)
        }
        for name in names where !readers.isReading(name) { readers.begin(name) }
        for _ in 0..<4 { bench.settle() }
        for name in names { #expect(readers.positions[name] == bench.ends[name] ?? 0, "\(name)") }
        #expect(lane.parkedCount == names.count && bench.inFlight == 1)
    }
}
