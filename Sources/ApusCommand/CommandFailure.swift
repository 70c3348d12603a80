/// Why a command did not do what it was asked: what happened, and what to do next. Printed on standard error.
package struct CommandFailure: Error, Hashable, Sendable {
    package var exit: Exit
    /// A stable word for programs: `topic_not_found`.
    package var code: String
    /// One sentence without a full stop, with the values that matter.
    package var message: String
    /// One thing to try, best a command that can be copied.
    package var next: String?
    /// The protocol's name of a broker's error: `TOPIC_ALREADY_EXISTS`.
    package var kafkaError: String?
    /// Who answered so: `broker 1 at 127.0.0.1:9092`.
    package var broker: String?

    package init(_ exit: Exit, code: String, _ message: String, next: String? = nil) {
        self.exit = exit
        self.code = code
        self.message = message
        self.next = next
    }

    package static func usage(_ message: String, next: String? = nil) -> CommandFailure {
        CommandFailure(.usage, code: "usage", message, next: next)
    }

    /// What a person reads on a terminal.
    package func text(in colours: Palette) -> String {
        let notes = [self.kafkaError, self.broker.map { "from \($0)" }].compactMap { $0 }.joined(separator: ", ")
        let tail = notes.isEmpty ? "" : colours.dim(" (\(notes))")
        var text = "\(colours.bold(colours.red("apus:"))) \(self.message)\(tail)\n"
        if let next = self.next { text += "  \(colours.dim("try:")) \(next)\n" }
        return text
    }

    /// What a program reads with `-o json` or `-o ndjson`: one line.
    package var json: JSON {
        var fields: [(String, JSON)] = [
            ("code", .string(self.code)), ("message", .string(self.message)),
            ("retryable", .bool(self.exit == .retryable || self.exit == .unreachable)),
            ("exit", .integer(Int64(self.exit.rawValue))),
        ]
        if let kafkaError = self.kafkaError { fields.append(("kafka_error", .string(kafkaError))) }
        if let broker = self.broker { fields.append(("broker", .string(broker))) }
        if let next = self.next { fields.append(("next", .string(next))) }
        return .object([("error", .object(fields))])
    }
}

extension CommandFailure: CustomStringConvertible {
    package var description: String { self.message }
}
