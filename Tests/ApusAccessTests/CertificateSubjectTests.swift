import ApusCore
import ApusFakes
import Testing

@testable import ApusAccess

@Suite("The subject of a certificate")
struct CertificateSubjectTests {
    private static func value(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        precondition(content.count < 65_536)
        switch content.count {
        case ..<128: return [tag, UInt8(content.count)] + content
        case ..<256: return [tag, 0x81, UInt8(content.count)] + content
        default: return [tag, 0x82, UInt8(content.count >> 8), UInt8(content.count & 0xFF)] + content
        }
    }

    private static let commonName: [UInt8] = [0x55, 4, 3]
    private static let organization: [UInt8] = [0x55, 4, 10]
    private static let email: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 1]

    private static func pair(_ type: [UInt8], _ text: String, tag: UInt8 = 0x0C) -> [UInt8] {
        Self.value(0x30, Self.value(6, type) + Self.value(tag, Array(text.utf8)))
    }

    /// As much of a certificate as stands before and in the subject, each element a set of pairs.
    private static func certificate(_ names: [[[UInt8]]], version: Bool = true) -> [UInt8] {
        let subject = Self.value(0x30, names.flatMap { Self.value(0x31, $0.flatMap { $0 }) })
        let before = Self.value(2, [1]) + Self.value(0x30, []) + Self.value(0x30, []) + Self.value(0x30, [])
        let fields = (version ? Self.value(0xA0, Self.value(2, [2])) : []) + before + subject
        return Self.value(0x30, Self.value(0x30, fields))
    }

    private func text(_ names: [[[UInt8]]]) -> String? {
        CertificateSubject(certificate: Self.certificate(names))?.text
    }

    @Test("it is written as RFC 2253 has it: the last part first, several values with plus")
    func order() {
        let names = [[Self.pair(Self.organization, "Tea")], [Self.pair(Self.commonName, "alice")]]
        #expect(self.text(names) == "CN=alice,O=Tea")
        let both = [[Self.pair(Self.commonName, "a") + Self.pair(Self.organization, "b")]]
        #expect(self.text(both) == "CN=a+O=b")
        #expect(self.text([]) == "")
        let old = CertificateSubject(certificate: Self.certificate(names, version: false))
        #expect(old?.text == "CN=alice,O=Tea")
        #expect(old?.commonName == "alice")
    }

    @Test("what would read as something else is escaped, what has no name of its own is written in bytes")
    func escapes() {
        let odd = self.text([[Self.pair(Self.commonName, #" a,b+c"d\e<f>g;h "#)]])
        #expect(odd == #"CN=\ a\,b\+c\"d\\e\<f\>g\;h\ "#)
        #expect(self.text([[Self.pair(Self.commonName, "#1")]]) == ##"CN=\#1"##)
        #expect(self.text([[Self.pair(Self.email, "a@b", tag: 0x16)]]) == "1.2.840.113549.1.9.1=#1603614062")
        // Bytes that are no text of the kind they say they are.
        #expect(self.text([[Self.pair(Self.commonName, "x", tag: 0x04)]]) == "CN=#040178")
        let long = String(repeating: "n", count: 300)
        #expect(self.text([[Self.pair(Self.commonName, long)]]) == "CN=\(long)")
    }

    @Test("a name in two bytes a letter is read")
    func wide() {
        let value = Self.value(0x30, Self.value(6, Self.commonName) + Self.value(0x1E, [0, 0x61, 0x03, 0xA9]))
        #expect(self.text([[value]]) == "CN=aΩ")
    }

    @Test("a certificate that is cut anywhere has no subject")
    func cut() {
        let whole = Self.certificate([[Self.pair(Self.organization, "Tea")], [Self.pair(Self.commonName, "alice")]])
        for count in 0..<whole.count { #expect(CertificateSubject(certificate: Array(whole.prefix(count))) == nil) }
    }

    @Test("any bytes are read or refused, without a trap", arguments: 0..<20 as Range<UInt64>)
    func mutations(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let whole = Self.certificate([[Self.pair(Self.organization, "Tea")], [Self.pair(Self.email, "alice@tea")]])
        var read = 0
        for _ in 0..<500 {
            var bytes = whole
            for _ in 0...(random.next() % 3) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if CertificateSubject(certificate: bytes) != nil { read += 1 }
        }
        #expect(read < 500)
    }
}
