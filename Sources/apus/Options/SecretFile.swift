import ApusCommand
import ApusCore
import Foundation

/// Files with a secret in them: a password or a token is never an argument, which everybody on the machine sees.
enum SecretFile {
    /// The first line. A file that others may read is refused.
    static func line(of path: String) throws(CommandFailure) -> String {
        func refusal(_ why: String, next: String? = nil) -> CommandFailure {
            CommandFailure(.badData, code: "secret_file", "\(path): \(why)", next: next)
        }
        var status = stat()
        guard stat(path, &status) == 0 else { throw refusal(String(cString: strerror(errno))) }
        // A pipe or a process substitution has no file to protect.
        if status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o077 != 0 {
            throw refusal("others may read it", next: "chmod 600 \(path)")
        }
        let data: Data
        do {
            let file = try FileHandle(forReadingFrom: URL(filePath: path))
            data = try file.read(upToCount: Limits.secretFileBytesMax.rawValue) ?? Data()
        } catch {
            throw refusal(error.localizedDescription)
        }
        guard let text = String(data: data, encoding: .utf8), let line = text.split(separator: "\n").first else {
            throw refusal("there is nothing in it")
        }
        return line.last == "\r" ? String(line.dropLast()) : String(line)
    }
}
