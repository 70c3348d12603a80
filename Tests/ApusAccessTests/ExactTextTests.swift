import ApusFakes
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

    @Test(
        "what is common and the numbers of the order agree with the order of the bytes",
        arguments: 0..<10 as Range<UInt64>)
    func heads(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let letters = ["a", "b", "\u{0}", "\u{e9}", "\u{1F600}"]
        func name() -> ExactText { ExactText((0..<random.below(12)).map { _ in letters[random.below(5)] }.joined()) }
        for _ in 0..<300 {
            let (left, right) = (name(), name())
            #expect((left < right) == left.utf8.lexicographicallyPrecedes(right.utf8))
            #expect((left == right) == Array(left.utf8).elementsEqual(right.utf8))
            #expect(left.hasPrefix(right) == left.utf8.starts(with: right.utf8))
            let common = left.commonCount(with: right)
            if left.head(from: common) != right.head(from: common) {
                #expect((left < right) == (left.head(from: common) < right.head(from: common)))
            }
        }
    }
}
