import ApusCommand
import Foundation

/// Asks for a password at the terminal, without showing it.
enum PasswordPrompt {
    static func ask(_ question: String) throws(CommandFailure) -> String {
        guard InputFile.standardIsTerminal else {
            throw .usage("there is no password, and nobody can be asked here", next: "--password-file FILE")
        }
        var shown = termios()
        guard tcgetattr(STDIN_FILENO, &shown) == 0 else {
            throw .usage("the terminal can not be kept from showing a password", next: "--password-file FILE")
        }
        var hidden = shown
        hidden.c_lflag &= ~tcflag_t(ECHO)
        StandardError.write(question)
        tcsetattr(STDIN_FILENO, TCSANOW, &hidden)
        let line = readLine()
        tcsetattr(STDIN_FILENO, TCSANOW, &shown)
        StandardError.write("\n")
        guard let line, !line.isEmpty else { throw .usage("there is no password", next: "--password-file FILE") }
        return line
    }

    /// Asks twice, so that a slip is noticed.
    static func askForNew(_ question: String) throws(CommandFailure) -> String {
        let first = try Self.ask(question)
        guard try Self.ask("Again: ") == first else {
            throw CommandFailure(.failure, code: "not_confirmed", "the passwords differ; nothing was changed")
        }
        return first
    }
}
