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
        let attributes: [FileAttributeKey: Any]
        do {
            // Of what a link points to: the link's own are everybody's.
            let target = URL(filePath: path).resolvingSymlinksInPath().path
            attributes = try FileManager.default.attributesOfItem(atPath: target)
        } catch {
            throw refusal(error.localizedDescription)
        }
        // A pipe or a process substitution has no file to protect.
        if attributes[.type] as? FileAttributeType == .typeRegular,
            (attributes[.posixPermissions] as? NSNumber).map({ $0.intValue & 0o077 != 0 }) ?? true
        {
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
