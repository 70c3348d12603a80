import ApusCore

/// Who somebody is, as Kafka writes it: `User:alice`. What logged in, what an ACL names, what a quota counts.
///
/// Kept as the one text that it is: a decision hashes it once.
package struct Principal: Hashable, Sendable {
    package let text: ExactText

    /// Whoever did not log in, where that is allowed (Kafka's name).
    package static let anonymous = Principal(unchecked: "User:ANONYMOUS")
    /// In an ACL: everybody, `anonymous` included.
    package static let everybody = Principal(unchecked: "User:*")

    /// Code in the broker's own process. Of a type that no login makes.
    package static let embedded = Principal(unchecked: "Process:embedded")

    /// A person at the machine who has the broker's files. Of a type that no login makes; for the audit log.
    package static let atMachine = Principal(unchecked: "Machine:operator")

    private init(unchecked text: ExactText) {
        self.text = text
    }

    /// The user of that name. Nil unless the name is 1 to `Limits.principalNameBytesMax` bytes without control
    /// characters; `*` is nobody's name.
    package init?(user name: String) {
        guard name != "*" else { return nil }
        self.init(parsing: "User:" + name)
    }

    /// `Type:name`. Nil for a missing or odd type, and for a name that ``init(user:)`` refuses, `*` excepted.
    package init?(parsing text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, Self.isType(parts[0]), Self.isName(parts[1]) else { return nil }
        self.init(unchecked: ExactText(text))
    }

    /// What stands behind the colon.
    package var name: ExactText {
        ExactText(String(self.text.text.split(separator: ":", maxSplits: 1).last ?? ""))
    }

    private static func isType(_ text: Substring) -> Bool {
        (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { isASCIILetter($0) }
    }

    private static func isName(_ text: Substring) -> Bool {
        (1...Limits.principalNameBytesMax.rawValue).contains(text.utf8.count) && text.unicodeScalars.allSatisfy(isShown)
    }
}

extension Principal: CustomStringConvertible {
    package var description: String { self.text.text }
}

/// Whether a character shows itself. What does not (line breaks, escapes, marks that turn the writing around) can
/// forge a log line or make one name look like another.
func isShown(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
    default: true
    }
}

func isASCIILetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
}
