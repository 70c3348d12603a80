import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import KafkaDoor

@Suite("Answers leave in the order of their requests")
struct ReplyQueueTests {
    @Test("whichever answer is found first, they leave in order", arguments: 0..<50 as Range<UInt64>)
    func anyOrder(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var queue = ReplyQueue()
        var open: [(ReplyQueue.Place, Int)] = []
        var begun = 0
        var left: [Int] = []
        for _ in 0..<400 {
            if Bool.random(using: &random) {
                open.append((queue.begin(requestBytes: .bytes(1), isFetch: false), begun))
                begun += 1
            } else if !open.isEmpty {
                let (place, number) = open.remove(at: Int.random(in: 0..<open.count, using: &random))
                queue.fill(place, with: [ByteBuffer(integer: number)])
            }
            while let reply = queue.next() { left.append(reply.bytes[0].getInteger(at: 0) ?? -1) }
        }
        for (place, number) in open { queue.fill(place, with: [ByteBuffer(integer: number)]) }
        while let reply = queue.next() { left.append(reply.bytes[0].getInteger(at: 0) ?? -1) }
        #expect(left == Array(0..<begun))
        #expect(queue.isEmpty)
        #expect(queue.byteCountWaiting == 0)
    }

    @Test("answers behind an unanswered request are counted")
    func waitingBytes() {
        var queue = ReplyQueue()
        let first = queue.begin(requestBytes: .zero, isFetch: true)
        let second = queue.begin(requestBytes: .zero, isFetch: false)
        queue.fill(second, with: [ByteBuffer(repeating: 0, count: 10), ByteBuffer(repeating: 0, count: 5)])
        #expect(queue.next() == nil)
        #expect(queue.byteCountWaiting == 15)
        queue.fill(first, with: [])
        #expect(queue.next()?.isFetch == true)
        #expect(queue.next()?.bytes.count == 2)
        #expect(queue.byteCountWaiting == 0)
    }

    @Test("when nobody reads any more, fetches are let go and writes keep their memory until they are answered")
    func abandoned() {
        var queue = ReplyQueue()
        let fetch = queue.begin(requestBytes: .bytes(10), isFetch: true)
        let write = queue.begin(requestBytes: .bytes(20), isFetch: false)
        queue.abandon()
        #expect(queue.next()?.requestBytes == .bytes(10))
        #expect(queue.next() == nil)
        queue.fill(write, with: [])
        #expect(queue.next()?.requestBytes == .bytes(20))
        // The fetch's answer may still come; it belongs to nobody.
        queue.fill(fetch, with: [ByteBuffer(integer: 1)])
        #expect(queue.next() == nil)
    }
}

extension ReplyQueue.Reply: Equatable {
    static func == (left: Self, right: Self) -> Bool {
        left.bytes == right.bytes && left.requestBytes == right.requestBytes && left.isFetch == right.isFetch
    }
}
