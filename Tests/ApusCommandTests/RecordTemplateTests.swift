import ApusCommand
import ApusCore
import Testing

@Suite struct RecordTemplateTests {
    private let now = Timestamp(rawValue: 1_795_168_830_250)

    private func rendered(_ text: String, count: Int = 7) throws -> String {
        var generator = SystemRandomNumberGenerator()
        return try RecordTemplate(text).rendered(count: count, at: self.now, using: &generator)
    }

    @Test(
        "tokens become the values of this record",
        arguments: [
            ("", ""), ("no tokens { }", "no tokens { }"), ("{{count}}/{{Count}}/{{.Count}}", "7/7/7"),
            ("{{ time }}", "10:00:30"), ("{{timestamp}}", "2026-11-20T10:00:30.250Z"),
            ("at {{unix}}, {{unixms}}", "at 1795168830, 1795168830250"), ("{{random 0 0}}", ""),
            (#"{"n":{{count}}}"#, #"{"n":7}"#),
        ])
    func tokens(text: String, expected: String) throws {
        #expect(try self.rendered(text) == expected)
    }

    @Test("random text has the length that was asked for")
    func random() throws {
        for _ in 0..<50 {
            #expect((3...5).contains(try self.rendered("{{Random 3 5}}").count))
            #expect(try self.rendered("{{id}}").count == 16)
        }
    }

    @Test(
        "what is not known is refused, not sent",
        arguments: ["{{", "{{count", "{{nosuch}}", "{{random}}", "{{random 5 3}}", "{{random 0 99999999}}", "{{}}"])
    func refused(text: String) {
        #expect(throws: CommandFailure.self) { try RecordTemplate(text) }
    }
}
