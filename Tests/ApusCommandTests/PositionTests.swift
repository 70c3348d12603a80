import ApusCommand
import ApusCore
import Testing

@Suite struct PositionTests {
    @Test("positions by name, offset and distance")
    func simple() throws {
        #expect(try Position("start") == .start)
        #expect(try Position("end") == .end)
        #expect(try Position("42") == .offset(Offset(rawValue: 42)))
        #expect(try Position("-100") == .beforeEnd(100))
        #expect(try Position("+5") == .afterStart(5))
    }

    @Test(
        "positions by time",
        arguments: [
            ("@2026-11-20T10:00", 1_795_168_800_000), ("@2026-11-20", 1_795_132_800_000),
            ("@2026-11-20T10:00:30.250Z", 1_795_168_830_250), ("@2026-11-20T12:00+02:00", 1_795_168_800_000),
            ("@2026-11-20 05:00-05:00", 1_795_168_800_000), ("@1795168800000", 1_795_168_800_000),
            ("@2024-02-29", 1_709_164_800_000), ("@1969-12-31T23:59:59.999", -1),
        ] as [(String, Int64)]
    )
    func times(text: String, milliseconds: Int64) throws {
        #expect(try Position(text).time(at: .none) == Timestamp(rawValue: milliseconds))
    }

    @Test("a time ago counts back from now")
    func ago() throws {
        let position = try Position("@-2h")
        #expect(position == .ago(.seconds(7200)))
        #expect(position.time(at: Timestamp(rawValue: 10_000_000)) == Timestamp(rawValue: 2_800_000))
        #expect(Position.start.time(at: .none) == nil)
    }

    @Test(
        "what is no position is refused with the ways to write one",
        arguments: [
            "", "beginning", "-", "+", "--5", "4 2", "@", "@-", "@-2", "@2026-13-01", "@2026-02-30", "@2025-02-29",
            "@2026-11-20T24:00", "@2026-11-20T10:00X", "@2026-11-20T1:00", "99999999999999999999", "@+5",
        ]
    )
    func refusals(text: String) throws {
        let failure = try #require(throws: CommandFailure.self) { try Position(text) }
        #expect(failure.exit == .usage)
        #expect(failure.next != nil)
    }

    @Test(
        "a time is printed as it is read",
        arguments: [0, -1, 951_782_400_000, 1_795_168_830_250, -62_135_596_800_000, 4_102_444_799_999] as [Int64]
    )
    func roundTrip(milliseconds: Int64) throws {
        let time = Timestamp(rawValue: milliseconds)
        #expect(CivilTime.parse(CivilTime(time).text) == time)
    }

    @Test("strftime knows what dates need")
    func strftime() {
        let time = Timestamp(rawValue: 1_795_168_830_250)
        #expect(
            CivilTime(time).formatted("%F %T.%f|%Y%m%d|%H%M%S|%s|%%", time)
                == "2026-11-20 10:00:30.250|20261120|100030|1795168830|%")
    }
}
