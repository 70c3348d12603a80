import ApusCommand
import ArgumentParser
import NIOCore
import WebFormats

/// `apus node`: one broker or endpoint server, over its HTTP port.
struct NodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Brokers and endpoint servers, one by one.", subcommands: [NodeDrain.self])
}

/// `apus node drain`.
struct NodeDrain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Send a node's clients away, before it is stopped.",
        discussion: """
            From now on the node says that it is not ready, so that balancers send nobody any more; after its \
            --drain-grace it tells clients of WebSockets and event streams to move. It runs on until it is stopped. It \
            takes ALTER on the cluster.

              apus node drain http://127.0.0.1:8081
            """)

    @Argument(help: ArgumentHelp("Where the node serves HTTP.", valueName: "url"))
    var node: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let node = try NodeAddress(self.node)
        let security = try self.connection.choice().security
        let authorization = try WebConnection.authorization(
            security, at: node.address, isSecure: node.isSecure, flag: "https://…")
        var request = ByteBuffer()
        request.writeString("POST /v1/nodes/self:drain HTTP/1.1\r\nHost: \(node.address)\r\n")
        if let authorization { request.writeString("Authorization: \(authorization)\r\n") }
        request.writeString("Content-Length: 0\r\nConnection: close\r\n\r\n")
        let answer = try await self.answer(to: request, node, security)
        try self.judge(answer, of: node)
        try StandardOutput.write("\(node.address) sends its clients away\n")
    }

    private func answer(
        to request: ByteBuffer, _ node: NodeAddress, _ security: ConnectionSecurity
    ) async throws -> String {
        let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>
        do {
            channel = try await WebConnection.open(node.address, isSecure: node.isSecure, security)
        } catch {
            throw CommandFailure(
                .unreachable, code: "unreachable", "nobody answers at \(node.address)",
                next: "an endpoint server, or a broker's --http, is told to drain there")
        }
        do {
            return try await channel.executeThenClose { inbound, outbound in
                try await outbound.write(request)
                var answer = ByteBuffer()
                for try await bytes in inbound where answer.readableBytes < Self.answerBytesMax {
                    answer.writeImmutableBuffer(bytes)
                }
                return String(buffer: answer)
            }
        } catch {
            throw CommandFailure(.unreachable, code: "unreachable", "\(node.address): \(error)")
        }
    }

    private static let answerBytesMax = 65_536

    private func judge(_ answer: String, of node: NodeAddress) throws {
        let status = answer.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap { Int($0) } ?? 0
        guard status != 202 else { return }
        let code = [401: "unauthenticated", 403: "forbidden"][status]
        throw CommandFailure(
            code == nil ? .failure : .denied, code: code ?? "refused",
            "\(node.address): \(Self.detail(of: answer) ?? "answered with status \(status)")",
            next: code == nil ? nil : "--user, or --token-file, of somebody with ALTER on the cluster")
    }

    /// Of a problem (RFC 9457); nil when it is none.
    private static func detail(of answer: String) -> String? {
        guard let start = answer.firstIndex(of: "{") else { return nil }
        // `try?`: what is no problem has no words for people.
        return (try? JSONObject(ByteBuffer(string: String(answer[start...]))))?["detail"]?.text
    }
}
