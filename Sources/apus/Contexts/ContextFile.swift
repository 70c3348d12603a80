import ApusCommand
import Foundation

/// The user's contexts on disk: `$XDG_CONFIG_HOME/apus/contexts.json`, else `~/.config/apus/contexts.json`.
enum ContextFile {
    /// Nil for a process without a home: it has no contexts.
    private static var path: URL? {
        let environment = ProcessInfo.processInfo.environment
        // The base directory specification: a relative path there is to be ignored.
        if let configuration = environment["XDG_CONFIG_HOME"], configuration.hasPrefix("/") {
            return URL(filePath: configuration).appending(path: "apus/contexts.json")
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
        return URL(filePath: home).appending(path: ".config/apus/contexts.json")
    }

    /// None when there is no file.
    static func read() throws(CommandFailure) -> Contexts {
        guard let path = Self.path else { return Contexts() }
        let text: String
        do {
            text = try String(contentsOf: path, encoding: .utf8)
        } catch let error as CocoaError where error.code == .fileReadNoSuchFile || error.code == .fileNoSuchFile {
            return Contexts()
        } catch {
            throw Self.failure(path, error)
        }
        return try Contexts(file: text, named: path.path)
    }

    /// Readable by its user only; whole or not at all.
    static func write(_ contexts: Contexts) throws(CommandFailure) {
        guard let path = Self.path else {
            throw CommandFailure(
                .failure, code: "contexts_file", "there is no place for contexts", next: "set HOME or XDG_CONFIG_HOME")
        }
        do {
            try FileManager.default.createDirectory(
                at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(contexts.file.utf8).write(to: path, options: .atomic)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path.path)
        } catch {
            throw Self.failure(path, error)
        }
    }

    private static func failure(_ path: URL, _ error: any Error) -> CommandFailure {
        CommandFailure(.badData, code: "contexts_file", "\(path.path): \(error.localizedDescription)")
    }
}
