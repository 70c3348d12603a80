import ApusCommand
import Testing

@Suite struct OutputTests {
    private func listing() -> Listing {
        var listing = Listing([
            .init("name"), .init("partitions", isNumber: true), .init("size_bytes", "SIZE", isNumber: true),
            .init("isr"),
        ])
        listing.add([.text("orders"), .count(3), Cell(.integer(2048), text: "2.0 KiB"), .list([1])])
        listing.add([.text("a"), .count(12_000), .nothing, .list([])])
        return listing
    }

    @Test("a table has titles, numbers to the right, and no space at the end of a line")
    func table() {
        #expect(
            self.listing().rendered(as: .table) == """
                NAME    PARTITIONS     SIZE  ISR
                orders           3  2.0 KiB  1
                a           12,000        -

                """)
    }

    @Test("JSON keeps the order of its keys and the exact numbers")
    func json() {
        #expect(
            self.listing().rendered(as: .ndjson) == """
                {"name":"orders","partitions":3,"size_bytes":2048,"isr":[1]}
                {"name":"a","partitions":12000,"size_bytes":null,"isr":[]}

                """)
        #expect(
            self.listing().rendered(as: .json).hasPrefix("[\n  {\n    \"name\": \"orders\",\n    \"partitions\": 3,"))
        #expect(Listing([.init("name")]).rendered(as: .json) == "[]\n")
    }

    @Test("raw output has bare values between tabs")
    func raw() {
        #expect(self.listing().rendered(as: .raw) == "orders\t3\t2048\t[1]\na\t12000\t\t[]\n")
    }

    @Test("JSON strings are escaped")
    func escapes() {
        #expect(JSON.string("a\"b\\c\n\u{1}é\u{7F}").compact == "\"a\\\"b\\\\c\\n\\u0001é\\u007f\"")
        #expect(JSON.number(.infinity).compact == "null")
    }

    @Test("a summary shows its fields aligned and its lists below")
    func summary() {
        var summary = Summary()
        summary.add("name", "Name", .text("orders"))
        summary.add("partition_count", "Partitions", .count(2))
        summary.add("partitions", "", self.listing())
        #expect(summary.rendered(as: .table).hasPrefix("Name        orders\nPartitions  2\n\nNAME    PARTITIONS"))
        #expect(summary.rendered(as: .ndjson).hasPrefix(#"{"name":"orders","partition_count":2,"partitions":[{"#))
        #expect(summary.rendered(as: .raw).hasPrefix("name\torders\npartition_count\t2\norders\t3"))
    }

    @Test("the exit codes are those that the manual promises")
    func exits() {
        let codes = Dictionary(uniqueKeysWithValues: Exit.allCases.map { ("\($0)", $0.rawValue) })
        #expect(
            codes == [
                "success": 0, "failure": 1, "usage": 64, "badData": 65, "unreachable": 69, "retryable": 75,
                "denied": 77,
            ])
    }

    @Test("a failure says what happened and what to do next, in words and in JSON")
    func failures() {
        let failure = CommandFailure(
            .retryable, code: "not_leader", "no leader for orders[0]", next: "try again in a second")
        #expect(failure.text(in: .plain) == "apus: no leader for orders[0]\n  try: try again in a second\n")
        #expect(
            failure.json.compact
                == #"{"error":{"code":"not_leader","message":"no leader for orders[0]","retryable":true,"exit":75,"#
                + #""next":"try again in a second"}}"#)
    }

    @Test("colour needs a terminal that wants it")
    func colour() {
        #expect(Palette(isTerminal: true, environment: [:]).isColoured)
        #expect(!Palette(isTerminal: false, environment: [:]).isColoured)
        #expect(!Palette(isTerminal: true, environment: ["NO_COLOR": "1"]).isColoured)
        #expect(Palette(isTerminal: true, environment: ["NO_COLOR": ""]).isColoured)
        #expect(!Palette(isTerminal: true, environment: ["TERM": "dumb"]).isColoured)
        #expect(Palette(isColoured: true).red("x") == "\u{1B}[31mx\u{1B}[0m")
    }
}
