import ApusFakes
import Testing

@testable import ApusAccess

@Suite("Base64")
struct Base64Tests {
    @Test("the examples of RFC 4648 go both ways")
    func examples() {
        let pairs = [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ]
        for (plain, text) in pairs {
            #expect(Base64.standard.encoded(Array(plain.utf8)) == Array(text.utf8))
            #expect(Base64.standard.decoded(Array(text.utf8)) == Array(plain.utf8))
            let bare = Array(text.utf8.filter { $0 != UInt8(ascii: "=") })
            #expect(Base64.url.encoded(Array(plain.utf8)) == bare)
            #expect(Base64.url.decoded(bare) == Array(plain.utf8))
        }
        #expect(Base64.standard.encoded([0xFB, 0xFF]) == Array("+/8=".utf8))
        #expect(Base64.url.encoded([0xFB, 0xFF]) == Array("-_8".utf8))
    }

    @Test("a second spelling of a value is refused")
    func spellings() {
        let standard = ["Zg", "Zg=", "Zh==", "Zm9=", "Zg==\n", " Zg==", "Z===", "====", "-_8=", "Zg==Zg==", "="]
        for text in standard { #expect(Base64.standard.decoded(Array(text.utf8)) == nil, "\(text)") }
        for text in ["Zg==", "Zh", "Z", "+/8", "Zm9v\n", "Zm 9v"] {
            #expect(Base64.url.decoded(Array(text.utf8)) == nil, "\(text)")
        }
    }

    @Test(
        "any bytes come back, and any text that is decoded is what encoding writes", arguments: 0..<10 as Range<UInt64>)
    func roundTrip(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let letters = Array("ABz09+/-_= \n".utf8)
        for _ in 0..<300 {
            let bytes = (0..<random.below(40)).map { _ in UInt8(random.below(256)) }
            let text = (0..<random.below(9)).map { _ in letters[random.below(letters.count)] }
            for base in [Base64.standard, .url] {
                #expect(base.decoded(base.encoded(bytes)) == bytes)
                if let decoded = base.decoded(text) { #expect(base.encoded(decoded) == text) }
            }
        }
    }
}
