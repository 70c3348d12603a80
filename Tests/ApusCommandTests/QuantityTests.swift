import ApusCommand
import ApusCore
import Testing

@Suite struct QuantityTests {
    @Test(
        "a duration is a number with a unit, or several, largest first",
        arguments: [
            ("7d", 604_800_000), ("2h", 7_200_000), ("1h30m", 5_400_000), ("250ms", 250), ("1.5s", 1500), ("0s", 0),
            ("1w", 604_800_000), ("15min", 900_000),
        ]
    )
    func durations(text: String, milliseconds: Int64) throws {
        #expect(try Quantity.duration(text).wholeMilliseconds == milliseconds)
    }

    @Test(
        "what is not a duration is refused with an example",
        arguments: ["", "7", "d", "1m1h", "-5s", "1x", "1s1s", "99999999999999999d", "1 s"]
    )
    func badDurations(text: String) throws {
        let failure = #expect(throws: CommandFailure.self) { try Quantity.duration(text) }
        #expect(failure?.exit == .usage)
    }

    @Test(
        "a size is in bytes, binary units or decimal units",
        arguments: [
            ("512", 512), ("64MiB", 67_108_864), ("64M", 67_108_864), ("64MB", 64_000_000), ("1gib", 1_073_741_824),
            ("1.5KiB", 1536), ("0", 0), ("10B", 10),
        ]
    )
    func sizes(text: String, bytes: Int) throws {
        #expect(try Quantity.size(text) == .bytes(bytes))
    }

    @Test("what is not a size is refused", arguments: ["", "MiB", "-1", "1XB", "1 MiB", "1MiB2", "9999999999TiB"])
    func badSizes(text: String) {
        #expect(throws: CommandFailure.self) { try Quantity.size(text) }
    }

    @Test("numbers read as people write them")
    func numbers() {
        #expect(Numbers.grouped(0) == "0")
        #expect(Numbers.grouped(999) == "999")
        #expect(Numbers.grouped(-1_234_567) == "-1,234,567")
        #expect(Numbers.grouped(.min) == "-9,223,372,036,854,775,808")
        #expect(Numbers.fixed(0.05, 2) == "0.05")
        #expect(Numbers.fixed(-1.005, 1) == "-1.0")
        #expect(Numbers.fixed(12.5, 0) == "13")
        #expect(Numbers.fixed(.nan, 1) == "-")
        #expect(Numbers.duration(.milliseconds(180)) == "0.18 s")
        #expect(Numbers.duration(.microseconds(350)) == "350 µs")
        #expect(Numbers.duration(.seconds(90_000)) == "25.0 h")
    }
}
