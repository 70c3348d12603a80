import ApusFakes
import Testing

@testable import ApusAccess

@Suite("JSON, strictly")
struct JSONTests {
    private func parsed(_ text: String) -> JSON? { JSON(Array(text.utf8)) }

    @Test("what RFC 8259 allows is read")
    func good() {
        #expect(self.parsed(" null ") == .null)
        #expect(self.parsed("[true,false]") == .array([.bool(true), .bool(false)]))
        #expect(self.parsed(#"{"a":{"b":[]},"":1}"#) == .object(["a": .object(["b": .array([])]), "": .number(1)]))
        #expect(self.parsed("-0.5e+2") == .number(-50))
        #expect(self.parsed("[0,10,1E2]") == .array([.number(0), .number(10), .number(100)]))
        #expect(
            self.parsed(#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#) == .string("\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1F600}"))
        #expect(self.parsed("{\r\n\t}") == .object([:]))
    }

    @Test("what some readers forgive is refused")
    func bad() {
        let texts = [
            "", " ", "{", "}", "[", "[1", "[1,]", "[,1]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "{1:1}", "1 2", "[] []",
            "01", "-", "+1", ".5", "1.", "1e", "0x1", "NaN", "Infinity", "1e999", "nul", "True", "'a'", "\"a", "\"\n\"",
            "\"\\x41\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "// x\n1", "/**/1", "[1]]",
            #"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#, "\u{feff}1",
        ]
        for text in texts { #expect(self.parsed(text) == nil, "\(text)") }
        #expect(JSON([0x22, 0xFF, 0x22]) == nil)
        #expect(JSON([0x22, 0xED, 0xA0, 0x80, 0x22]) == nil)
    }

    @Test("depth has its limit")
    func depth() {
        let nested = { (depth: Int) in String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        #expect(self.parsed(nested(16)) != nil)
        #expect(self.parsed(nested(17)) == nil)
        #expect(self.parsed(String(repeating: "[", count: 100_000)) == nil)
    }

    @Test("any bytes are read or refused, without a trap", arguments: 0..<20 as Range<UInt64>)
    func anyBytes(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let good = Array(#"{"iss":"a","aud":["b",1.5e3],"n":null,"x":"\u00e9\ud83d\ude00"}"#.utf8)
        let letters = Array(#"{}[]":,\u0dtfn1e-."#.utf8)
        for _ in 0..<500 {
            var bytes = good
            for _ in 0...random.below(3) {
                let at = random.below(bytes.count)
                bytes[at] = random.isOne(in: 3) ? UInt8(random.below(256)) : letters[random.below(letters.count)]
            }
            bytes.removeLast(random.isOne(in: 4) ? random.below(bytes.count) : 0)
            if let value = JSON(bytes) { #expect(JSON(bytes) == value) }
        }
    }
}
