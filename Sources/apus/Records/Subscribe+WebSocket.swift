import ApusCommand
import ApusCore
import ArgumentParser

/// `apus sub --ws`.
extension Subscribe {
    func push(from address: PushAddress) async throws {
        let security = try self.connection.choice().security
        let authorization = try WebConnection.authorization(
            security, at: address.address, isSecure: address.isSecure, flag: "--ws wss://…")
        let printer = RecordPrinter(style: try self.style(), matches: self.match, countMax: self.count)
        let subscription = PushSubscription(
            address, channels: self.topics, from: self.edgeStart, security: security, authorization: authorization,
            printer: printer)
        var isInterrupted = false
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await subscription.run() }
            group.addTask { try await Interruption.wait() }
            do {
                try await group.next()
            } catch is EnoughRecords {
            } catch is Interruption {
                isInterrupted = true
            }
            group.cancelAll()
        }
        try await printer.finish()
        if isInterrupted { throw ExitCode(Interruption.exitCode) }
    }

    /// As the edge has it.
    private var edgeStart: String {
        let now = Timestamp.now
        switch self.from {
        case nil: return self.count == nil ? "latest" : "earliest"
        case .start, .afterStart: return "earliest"
        case .end: return "latest"
        case .offset(let offset): return "\(offset.rawValue)"
        case .beforeEnd(let count): return "-\(count)"
        case .time(let time): return "@\(time.rawValue)"
        case .ago(let duration): return "@\(now.earlier(by: duration).rawValue)"
        }
    }
}
