import ApusCommand
import ArgumentParser

/// `-o`, on every command.
struct OutputOptions: ParsableArguments {
    @Option(
        name: [.customShort("o", allowingJoined: true), .long],
        help: ArgumentHelp("How to print; ndjson is one object a line, raw bare values.", valueName: "format"))
    var output = OutputFormat.table

    var format: OutputFormat { self.output }
}

/// Turns our errors into the parser's, so that it names the option and shows the usage.
func parsing<Value>(_ parse: () throws -> Value) throws -> Value {
    do {
        return try parse()
    } catch let failure as CommandFailure {
        throw ValidationError(failure.next.map { "\(failure.message): \($0)" } ?? failure.message)
    }
}
