import NIOCore
import Synchronization

/// How work gets to an event loop: at once when we are on it, else in a letter box that is emptied once for all that
/// came, because waking a loop costs more than what most letters ask for.
final class ShardMailbox: Sendable {
    let loop: any EventLoop
    private let letters = Mutex<[@Sendable () -> Void]>([])

    init(loop: any EventLoop) {
        self.loop = loop
    }

    func run(_ work: @escaping @Sendable () -> Void) {
        guard !self.loop.inEventLoop else { return work() }
        let isFirst = self.letters.withLock { letters in
            letters.append(work)
            return letters.count == 1
        }
        guard isFirst else { return }
        self.loop.execute {
            let letters = self.letters.withLock { letters in
                let taken = letters
                letters = []
                return taken
            }
            for letter in letters { letter() }
        }
    }
}
