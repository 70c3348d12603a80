import Testing

@testable import ApusAccess

@Suite("Names that decide access")
struct ExactTextTests {
    @Test("two spellings of one character are two names")
    func spellings() {
        let one: ExactText = "caf\u{e9}"
        let other: ExactText = "cafe\u{301}"
        #expect(one.text == other.text)
        #expect(one != other)
        #expect(Set([one, other]).count == 2)
    }

    @Test("the order and the prefixes are those of the bytes")
    func order() {
        let names: [ExactText] = ["b", "a.b", "a", "", "Z", "é"]
        #expect(names.sorted() == ["", "Z", "a", "a.b", "b", "é"])
        #expect(ExactText("a.b").hasPrefix("a"))
        #expect(ExactText("a.b").hasPrefix(""))
        #expect(!ExactText("a").hasPrefix("a.b"))
    }
}
