import ApusClient
import ApusCommand
import ArgumentParser
import Foundation

/// How the process ends when something went wrong: one place that knows the exit codes and the words.
enum Ending {
    /// Prints the error in the format that the command line asked for, and exits with its code.
    static func end(with error: any Error) -> Never {
        if error is OutputClosed { exit(Exit.success.rawValue) }
        guard let failure = Self.failure(for: error) else { Apus.exit(withError: error) }
        if CommandLine.asksForStructure {
            StandardError.write(failure.json.compact + "\n")
        } else {
            StandardError.write(failure.text(in: StandardError.palette))
        }
        exit(failure.exit.rawValue)
    }

    /// Nil for the argument parser's own errors, which it prints better itself.
    private static func failure(for error: any Error) -> CommandFailure? {
        switch error {
        case let failure as CommandFailure: return failure
        case let error as ApusError: return CommandFailure(error, servers: "the servers of this command")
        case is CancellationError: return CommandFailure(.failure, code: "interrupted", "interrupted")
        case is ExitCode, is CleanExit, is ValidationError: return nil
        default:
            // The parser's errors are not public; this is how it says what it would do with one.
            let code = Apus.exitCode(for: error)
            if code == .success || code == .validationFailure { return nil }
            return CommandFailure(.failure, code: "failure", "\(error)")
        }
    }
}

extension CommandLine {
    /// Read from the bare arguments, because an error may come before they are parsed.
    fileprivate static var asksForStructure: Bool {
        let words = Self.arguments
        for (index, word) in words.enumerated() {
            for format in OutputFormat.allCases where format.isStructured {
                if word == "-o\(format)" || word == "--output=\(format)" { return true }
                let follows = index + 1 < words.count && words[index + 1] == format.rawValue
                if word == "-o" || word == "--output", follows { return true }
            }
        }
        return false
    }
}

/// Nobody reads our output any more (`apus sub t | head`): the normal end of a pipe, not a failure.
struct OutputClosed: Error {}
