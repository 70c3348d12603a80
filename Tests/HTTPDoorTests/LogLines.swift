import Logging
import Synchronization

/// Everything that was logged, at any level.
struct LogLines: LogHandler {
    private final class Box: Sendable {
        let text = Mutex("")
    }

    private let box = Box()
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    var text: String { self.box.text.withLock { $0 } }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        self.box.text.withLock { $0 += "\(event.level) \(event.message) \(event.metadata ?? [:]) \(self.metadata)\n" }
    }
}
