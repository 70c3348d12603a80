import ApusCore
import NIOCore
import Testing

@testable import KafkaDoor

@Suite struct ReaderPaceTests {
    private static let mebibyte = 1 << 20

    private func pace(_ byteCount: Int, microseconds: Int64) -> ReaderPace {
        var pace = ReaderPace()
        pace.answered(with: byteCount, at: .uptimeNanoseconds(5_000))
        pace.asked(at: .uptimeNanoseconds(5_000) + .microseconds(microseconds))
        return pace
    }

    @Test("who asks again at once gets answers that fit into a core's cache; who takes longer gets what it asks for")
    func quick() {
        #expect(self.pace(8 * Self.mebibyte, microseconds: 3_000).isQuick)
        #expect(self.pace(Self.mebibyte, microseconds: 400).isQuick)
        #expect(!self.pace(Self.mebibyte, microseconds: 1_100).isQuick)
        #expect(!self.pace(8 * Self.mebibyte, microseconds: 50_000).isQuick)
        #expect(!ReaderPace().isQuick)
    }

    @Test("a small answer tells nothing")
    func small() {
        #expect(!self.pace(1000, microseconds: 0).isQuick)
        var quick = self.pace(Self.mebibyte, microseconds: 100)
        quick.answered(with: 1000, at: .uptimeNanoseconds(0))
        quick.asked(at: .uptimeNanoseconds(500_000_000))
        #expect(quick.isQuick)
    }

    @Test("no answer is made shorter than what the client waits for, or longer than it asks for")
    func bounds() {
        let quick = self.pace(Self.mebibyte, microseconds: 100)
        #expect(quick.bytesMax(asked: 50 * Self.mebibyte, atLeast: 1) == Limits.fetchBytesQuick.rawValue)
        #expect(quick.bytesMax(asked: 50 * Self.mebibyte, atLeast: 3 * Self.mebibyte) == 3 * Self.mebibyte)
        #expect(quick.bytesMax(asked: 1000, atLeast: 1) == 1000)
        #expect(ReaderPace().bytesMax(asked: 50 * Self.mebibyte, atLeast: 1) == 50 * Self.mebibyte)
    }
}
