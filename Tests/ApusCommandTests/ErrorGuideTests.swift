import ApusCommand
import Testing

@Suite struct ErrorGuideTests {
    @Test("every entry says what to do, and no word stands twice")
    func entries() {
        let codes = ErrorGuide.entries.map(\.code)
        #expect(Set(codes).count == codes.count)
        for entry in ErrorGuide.entries { #expect(!entry.meaning.isEmpty && !entry.next.isEmpty) }
    }

    @Test("every error of the protocol leads to a word that is in the guide")
    func kafka() {
        let codes = Set(ErrorGuide.entries.map(\.code))
        #expect(ErrorGuide.kafkaEntries.count == 134)
        for entry in ErrorGuide.kafkaEntries {
            #expect(codes.contains(entry.code) && !entry.next.isEmpty)
        }
        let names = Set(ErrorGuide.kafkaEntries.map(\.name))
        #expect(Set(ErrorGuide.kafkaMeanings.keys).subtracting(names) == [])
    }

    @Test(
        "found by word, by name and by number",
        arguments: ["topic_exists", "TOPIC_ALREADY_EXISTS", "36", "Topic-Exists"])
    func find(text: String) throws {
        let found = try ErrorGuide.find(text)
        #expect(found.entries.map(\.code) == ["topic_exists"])
        #expect(found.entries.first?.next.contains("--if-missing") == true)
    }

    @Test("what is no error is refused with a hint", arguments: ["", "200", "0", "no such"])
    func unknown(text: String) {
        #expect(throws: CommandFailure.self) { try ErrorGuide.find(text) }
    }
}
