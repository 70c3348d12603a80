import Logging
import Synchronization

/// Keeps what is logged, a line each, metadata and all.
final class Logbook: Sendable {
    private let kept = Mutex<[String]>([])

    var lines: [String] { self.kept.withLock { $0 } }
    var logger: Logger { Logger(label: "test") { _ in Handler(book: self) } }

    fileprivate func write(_ line: String) { self.kept.withLock { $0.append(line) } }

    private struct Handler: LogHandler {
        let book: Logbook
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let words = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            self.book.write((["\(event.level)", "\(event.message)"] + words).joined(separator: " "))
        }
    }
}
