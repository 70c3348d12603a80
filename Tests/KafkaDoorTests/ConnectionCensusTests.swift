import Testing

@testable import KafkaDoor

@Suite("Connections are counted and turned away")
struct ConnectionCensusTests {
    @Test("so many in all, so many from one address, and room again when one leaves")
    func caps() {
        var census = ConnectionCensus(max: 4, perAddressMax: 2)
        let coming = ["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
        #expect(coming.map { census.enter($0) } == [true, true, false, true, true, false])
        census.leave("10.0.0.1")
        #expect([census.enter("10.0.0.4")] == [true])
        #expect(census.count == 4)
    }

    @Test("loopback has no cap of its own", arguments: ["127.0.0.1", "127.9.9.9", "::1"])
    func loopback(address: String) {
        var census = ConnectionCensus(max: 100, perAddressMax: 1)
        #expect((0...100).map { _ in census.enter(address) } == Array(repeating: true, count: 100) + [false])
    }
}

@Suite("What peers call themselves is safe to log")
struct PrintableTests {
    @Test("control characters, escapes and what is not ASCII never come through")
    func escapes() {
        let text = "a\r\nb\u{1B}[31m\u{0}\u{7F}ü\u{202E}\\"
        let safe = text.printable(upTo: 100)
        #expect(safe.unicodeScalars.allSatisfy { (0x20...0x7E).contains($0.value) })
        #expect(safe.hasPrefix("a\\u{d}\\u{a}b\\u{1b}[31m\\u{0}"))
    }

    @Test("long texts are cut")
    func cut() {
        #expect(String(repeating: "x", count: 1000).printable(upTo: 10) == "xxxxxxxxxx…")
    }
}
