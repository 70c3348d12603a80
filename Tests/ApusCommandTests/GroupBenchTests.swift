import ApusCommand
import ApusCore
import Testing

@Suite("When a group has settled") struct GroupSettlingTests {
    @Test("every partition has one owner, and all members are in one generation")
    func settles() {
        var settling = GroupSettling(members: 2, partitions: 3)
        #expect(!settling.isSettled)
        settling.joined(0, generation: 1, partitions: [0, 1, 2])
        #expect(!settling.isSettled)
        settling.joined(1, generation: 2, partitions: [])
        #expect(!settling.isSettled)
        settling.joined(0, generation: 2, partitions: [0, 1])
        #expect(!settling.isSettled)
        settling.joined(1, generation: 2, partitions: [2])
        #expect(settling.isSettled && settling.conflicts == 0)
        settling.left(0)
        #expect(!settling.isSettled)
    }

    @Test("two owners of one partition are a conflict, and no rest")
    func conflicts() {
        var settling = GroupSettling(members: 2, partitions: 1)
        settling.joined(0, generation: 1, partitions: [0])
        settling.joined(1, generation: 1, partitions: [0])
        #expect(!settling.isSettled && settling.conflicts == 1)
        settling.joined(1, generation: 1, partitions: [])
        #expect(settling.isSettled && settling.conflicts == 1)
    }

    @Test("a partition that the topic does not have is a conflict, not a trap", arguments: [-1, 1, .max] as [Int32])
    func nonsense(partition: Int32) {
        var settling = GroupSettling(members: 1, partitions: 1)
        settling.joined(0, generation: 1, partitions: [partition])
        #expect(!settling.isSettled && settling.conflicts == 1)
    }
}

@Suite("What a load of a group reports") struct GroupReportTests {
    @Test("rates and costs are per second, per million and per core; what is not known is null")
    func numbers() {
        var report = GroupReport(
            protocolName: "classic", members: 10, partitions: 20, settled: .milliseconds(1500), requestsToSettle: 40)
        #expect(report.json.compact.contains(#""idle_core_percent":null"#))
        #expect(report.text == "10 members, 20 partitions, classic protocol: settled in 1.50 s with 40 requests.\n")
        report.idle = .seconds(10)
        report.idleTime = .milliseconds(50)
        report.commits = 1000
        report.positions = 4000
        report.committing = .seconds(2)
        report.commitTime = .milliseconds(20)
        #expect(report.idlePercent == 0.5)
        #expect(report.commitsPerSecond == 500 && report.positionsPerSecond == 2000)
        #expect(report.brokerSecondsPerMillion == 20)
        #expect(report.json.compact.contains(#""settle_seconds":1.5"#))
        #expect(report.text.contains("1,000 commits, 500 commits/sec, 2000 positions/sec, 20.00 s of the broker's CPU"))
    }
}
