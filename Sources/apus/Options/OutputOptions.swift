import ApusCommand
import ArgumentParser

/// `-o`, on every command.
struct OutputOptions: ParsableArguments {
    @Option(
        name: [.customShort("o", allowingJoined: true), .long],
        help: "How to print: table, json, ndjson (one object a line) or raw (bare values).")
    var output: OutputFormat?

    var format: OutputFormat { self.output ?? .table }
}

/// Turns our errors into the parser's, so that it names the option and shows the usage.
func parsing<Value>(_ parse: () throws -> Value) throws -> Value {
    do {
        return try parse()
    } catch let failure as CommandFailure {
        throw ValidationError(failure.next.map { "\(failure.message): \($0)" } ?? failure.message)
    }
}
