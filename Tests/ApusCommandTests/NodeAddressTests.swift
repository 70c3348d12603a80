import Testing

@testable import ApusCommand

@Suite("The address of a node")
struct NodeAddressTests {
    @Test(
        "it is typed with or without a scheme",
        arguments: [
            ("http://127.0.0.1:8081", "127.0.0.1:8081", false), ("127.0.0.1:8081", "127.0.0.1:8081", false),
            ("HTTPS://edge.example/", "edge.example:443", true), ("http://edge.example", "edge.example:80", false),
            ("edge.example", "edge.example:8080", false),
            ("https://[::1]:9", "[::1]:9", true),
        ])
    func whole(text: String, address: String, isSecure: Bool) throws {
        let node = try NodeAddress(text)
        #expect(node.address.description == address && node.isSecure == isSecure)
    }

    @Test("what is none is refused", arguments: ["", "http://", "http://a/b", "http://u@a:1", "http://a b", "a:x"])
    func none(text: String) {
        #expect(throws: CommandFailure.self) { try NodeAddress(text) }
    }
}
