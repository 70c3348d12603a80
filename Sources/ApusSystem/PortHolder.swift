import Foundation

/// Who listens on a port of this machine: for the line that a newcomer reads when it is taken.
///
/// From /proc, which shows other users' processes to root only; then the answer is nil, and the line says less.
package struct PortHolder: Hashable, Sendable {
    package var process: Int32
    package var name: String

    package static func find(port: Int) -> PortHolder? {
        let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap { self.listening($0, port) }
        guard !sockets.isEmpty else { return nil }
        // A process may end while we look: what can not be read is not the one.
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        for process in processes.compactMap(Int32.init) {
            let folder = "/proc/\(process)/fd"
            for descriptor in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
                let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(descriptor)")
                guard let target, sockets.contains(target) else { continue }
                let name = (try? String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8)) ?? "?"
                return PortHolder(process: process, name: name.trimmingCharacters(in: .whitespacesAndNewlines))
            }
        }
        return nil
    }

    /// The sockets in state LISTEN (0A) on the port, as a descriptor's link names them: `socket:[1234]`.
    private static func listening(_ table: String, _ port: Int) -> [String] {
        // No such table, no such socket.
        guard let text = try? String(contentsOfFile: table, encoding: .utf8) else { return [] }
        return text.split(separator: "\n").dropFirst().compactMap { line in
            let columns = line.split(separator: " ")
            guard columns.count > 9, columns[3] == "0A", let colon = columns[1].lastIndex(of: ":"),
                Int(columns[1][columns[1].index(after: colon)...], radix: 16) == port
            else { return nil }
            return "socket:[\(columns[9])]"
        }
    }
}
