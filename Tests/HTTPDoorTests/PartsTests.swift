import ApusCore
import ApusFakes
import HTTPTypes
import NIOCore
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("Parts of requests")
struct PartsTests {
    @Test("a stream is cut into its lines wherever its pieces end", arguments: 0..<60 as Range<UInt64>)
    func lines(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let wanted = (0..<generator.below(30)).map { _ in
            String(repeating: "x", count: generator.below(18) + (generator.isOne(in: 3) ? 22 : 0))
        }
        let text =
            wanted.joined(separator: generator.isOne(in: 2) ? "\n" : "\r\n") + (generator.isOne(in: 2) ? "\n" : "")
        var splitter = LineSplitter(lineBytesMax: .bytes(20))
        var found: [String] = []
        func take(isLast: Bool) {
            while let lines = splitter.next(isLast: isLast) {
                for line in lines {
                    switch line {
                    case .success(let line): found.append(String(buffer: line).filter { $0 != "\r" })
                    case .failure(let problem): found.append(problem.code.rawValue)
                    }
                }
            }
        }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = 1 + generator.below(min(rest.count, 50))
            splitter.add(ByteBuffer(bytes: rest.prefix(count)))
            rest = rest.dropFirst(count)
            take(isLast: false)
        }
        take(isLast: true)
        let expected = wanted.filter { !$0.isEmpty }.map { $0.utf8.count > 20 ? "record_too_large" : $0 }
        #expect(found == expected)
    }

    @Test(
        "a query is read to the letter",
        arguments: [
            ("from=%2D5&limit=3", "-5"), ("from=@2026-11-20T10:00%2B02:00&limit=3", "@2026-11-20T10:00+02:00"),
            ("limit=3&from=a+b", "a b"),
        ]
    )
    func query(text: String, from: String) throws {
        let query = try Query(text, names: ["from", "limit"])
        #expect(query.text("from") == from)
        #expect(try query.integer("limit", 0...5) == 3)
    }

    @Test("what a query may not be is refused", arguments: ["a=1", "from=1&from=2", "from=%", "from=%zz", "from=%ff"])
    func badQuery(text: String) {
        #expect(throws: Problem.self) { try Query(text, names: ["from"]) }
    }

    @Test("any text is one segment of a path, and comes back", arguments: 0..<50 as Range<UInt64>)
    func percent(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var text = ""
        for _ in 0..<generator.below(20) {
            text.unicodeScalars.append(Unicode.Scalar(UInt32(generator.below(0x300))) ?? "x")
        }
        let encoded = PercentText.encoded(text)
        #expect(
            !encoded.utf8.contains { $0 <= 0x20 || $0 >= 0x7F || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") })
        #expect(PercentText.decoded(encoded) == text)
    }

    @Test("hosts are told from their ports, and names that anybody could own from those that are this machine's")
    func hosts() {
        #expect(HostName.host(of: "localhost:8080") == "localhost" && HostName.host(of: "[::1]:8080") == "::1")
        #expect(HostName.host(of: "") == nil && HostName.host(of: "[::1") == nil)
        for name in ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "10.0.0.1", "::1"] {
            #expect(HostName.isOurs(name[...]))
        }
        for name in ["localhost.evil", "127.0.0.1.evil", "evil", "2130706433", "0x7f.1"] {
            #expect(!HostName.isOurs(name[...]))
        }
    }

    @Test("every route is in the table once, and its path begins with a slash")
    func routes() {
        let routes = WebRoute.all.map { "\($0.method.rawValue) \($0.path)" }
        #expect(Set(routes).count == routes.count)
        #expect(WebRoute.all.allSatisfy { $0.path.hasPrefix("/") && !$0.summary.isEmpty })
    }
}
