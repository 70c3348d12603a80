import Crypto
import Foundation
import NIOCore
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("The page for people")
struct ConsolePageTests {
    private let page = String(buffer: ConsolePage.content)

    @Test("it is served to everybody, and the policy lets nothing run but what is in it")
    func served() async throws {
        try await WebWorld.run { world in
            let answer = try await world.ask("GET", "/")
            #expect(answer.status == 200)
            #expect(answer.header("content-type") == "text/html; charset=utf-8")
            #expect(answer.header("x-content-type-options") == "nosniff")
            #expect(answer.body == self.page)
            let policy = try #require(answer.header("content-security-policy"))
            #expect(policy.hasPrefix("default-src 'none'; script-src 'sha256-"))
            #expect(!policy.contains("unsafe"))
            for element in ["script", "style"] {
                let start = try #require(self.page.range(of: "<\(element)>")).upperBound
                let end = try #require(self.page.range(of: "</\(element)>")).lowerBound
                let digest = Data(SHA256.hash(data: Data(self.page[start..<end].utf8))).base64EncodedString()
                #expect(policy.contains("\(element)-src 'sha256-\(digest)'"))
            }
        }
    }

    @Test("it asks nobody else, and what comes from others is only ever text")
    func alone() {
        #expect(self.page.hasPrefix("<!doctype html>"))
        // The one address in it is the name of a namespace.
        let addresses = self.page.split(separator: "//").dropFirst().filter { !$0.hasPrefix("www.w3.org/2000/svg\"") }
            .filter { $0.first?.isWhitespace == false }
        #expect(addresses.isEmpty, "\(addresses.map { $0.prefix(40) })")
        for word in [
            "innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "onclick=", " style=\"", "src=",
        ] {
            #expect(!self.page.contains(word), "\(word)")
        }
    }
}
