import ApusCommand

/// Asks before something is gone for good.
enum Confirmation {
    /// Returns when the name was typed, or when it was said on the command line that nobody should be asked.
    static func ask(toDelete what: String, typing name: String, unless isSure: Bool) throws(CommandFailure) {
        if isSure { return }
        guard InputFile.standardIsTerminal else {
            throw .usage("this deletes \(what), and nobody can be asked here", next: "say so with --yes")
        }
        StandardError.write("This deletes \(what). Type \(name) to go on: ")
        guard readLine() == name else {
            throw CommandFailure(.failure, code: "not_confirmed", "not confirmed; nothing was deleted")
        }
    }
}
