import ApusCore
import NIOCore

/// How quick a client reads: from when a large fetch answer was given to the socket until the next fetch came.
///
/// A client on the same machine asks again within microseconds. Its answers are kept short enough
/// (``Limits/fetchBytesQuick``) to stay in the core's own cache from the page cache to the socket, where every byte is
/// touched three times: copied, checked, copied. A client behind a network is never held back by that, because one
/// whose round trip matters is not quick; it gets what it asks for.
///
/// Owner: its connection.
struct ReaderPace {
    private(set) var isQuick = false
    private var answer: (byteCount: Int, at: NIODeadline)?

    mutating func answered(with byteCount: Int, at now: NIODeadline) {
        self.answer = byteCount >= Limits.readerPaceBytesMin.rawValue ? (byteCount, now) : nil
    }

    mutating func asked(at now: NIODeadline) {
        guard let answer = self.answer.take() else { return }
        let nanoseconds = Double((now - answer.at).nanoseconds)
        self.isQuick = Double(answer.byteCount) * 1e9 >= nanoseconds * Double(Limits.quickReaderBytesPerSecond)
    }

    /// The most bytes of an answer to a fetch that wants so much.
    func bytesMax(asked: Int, atLeast bytesMin: Int) -> Int {
        self.isQuick ? min(asked, max(Limits.fetchBytesQuick.rawValue, bytesMin)) : asked
    }
}
