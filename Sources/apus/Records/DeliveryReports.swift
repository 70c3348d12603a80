import ApusClient
import ApusCommand
import ApusCore
import Synchronization

/// What became of the records that were sent: told as lines, reports or progress.
///
/// Batches are noted on the client's event loop, which must never wait for our output; the sending task shows them.
final class DeliveryReports: Sendable {
    private struct State {
        var waiting: [Delivery] = []
        var records: Int64 = 0
        var bytes = ByteCount.zero
        var progress: Progress
        var listing = Listing([
            .init("topic"), .init("partition", isNumber: true), .init("offset", isNumber: true),
            .init("records", isNumber: true), .init("bytes", isNumber: true),
        ])
    }

    private let output: OutputFormat?
    private let isQuiet: Bool
    /// Every record is told of, as it is for a person who types; else only progress.
    private let tellsEach: Bool
    private let began = Instant.now
    private let state: Mutex<State>

    init(output: OutputFormat?, isQuiet: Bool, tellsEach: Bool) {
        self.output = output
        self.isQuiet = isQuiet
        self.tellsEach = tellsEach
        self.state = Mutex(State(progress: Progress(at: self.began)))
    }

    /// Called on the client's event loop.
    func note(_ delivery: Delivery) {
        let keeps = self.output != nil || (self.tellsEach && !self.isQuiet)
        self.state.withLock { state in
            guard case .success = delivery.outcome else { return }
            state.records += Int64(delivery.recordCount)
            state.bytes += delivery.byteCount
            if keeps { state.waiting.append(delivery) }
        }
        if self.tellsEach, self.output == nil, !self.isQuiet { self.tell() }
    }

    /// Shows what is new.
    func show() throws {
        try self.report()
        guard !self.tellsEach, !self.isQuiet, StandardError.isTerminal, self.output == nil else { return }
        let line = self.state.withLock { $0.progress.line(records: $0.records, bytes: $0.bytes, at: .now) }
        if let line { StandardError.rewriteLine(line) }
    }

    /// Shows the rest, and what it came to.
    func finish() throws {
        try self.report()
        let (listing, records, text) = self.state.withLock { state in
            (state.listing, state.records, state.progress.text(records: state.records, bytes: state.bytes, at: .now))
        }
        if let output = self.output, output == .table || output == .json {
            try StandardOutput.write(listing.rendered(as: output))
        }
        guard !self.tellsEach, !self.isQuiet, self.output == nil, records > 0 else { return }
        StandardError.rewriteLine("")
        StandardError.write(text + "\n")
    }

    /// `hello[0]@42`, a line for each record; a terminal's line is written at once.
    private func tell() {
        for delivery in self.taken() {
            guard case .success(let first) = delivery.outcome else { continue }
            for index in 0..<Int64(delivery.recordCount) {
                let offset = first.map { "@\($0.advanced(by: index))" } ?? ""
                StandardError.write("\(delivery.topic)[\(delivery.partition)]\(offset)\n")
            }
        }
    }

    private func report() throws {
        guard let output = self.output else { return }
        var fresh = Listing(self.state.withLock { $0.listing.columns })
        for delivery in self.taken() {
            guard case .success(let first) = delivery.outcome else { continue }
            fresh.add([
                .text(delivery.topic), .number(delivery.partition.rawValue),
                first.map { .number($0.rawValue) } ?? .nothing, .count(delivery.recordCount),
                .number(delivery.byteCount.rawValue),
            ])
        }
        if output == .ndjson || output == .raw {
            try StandardOutput.write(fresh.rendered(as: output))
        } else {
            self.state.withLock { $0.listing.rows += fresh.rows }
        }
    }

    private func taken() -> [Delivery] {
        self.state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
    }
}
