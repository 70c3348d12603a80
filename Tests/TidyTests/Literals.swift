/// A dictionary literal with a key twice traps when it is first used: for a table of a command, at its start.
enum Literals {
    private struct Level {
        var bracket: UInt8
        /// Where the element begins that is being read, in bytes.
        var start: Int
        /// It has a key already.
        var isPastKey = false
        var keys: Set<Substring> = []
    }

    static func findings(in file: SourceFile) -> [Finding] {
        let bytes = Array(file.text.utf8)
        var levels: [Level] = []
        var found: [Finding] = []
        var line = 1
        for (at, byte) in file.code.enumerated() {
            switch byte {
            case UInt8(ascii: "\n"): line += 1
            case UInt8(ascii: "["), UInt8(ascii: "("), UInt8(ascii: "{"):
                levels.append(Level(bracket: byte, start: at + 1))
            case UInt8(ascii: "]"), UInt8(ascii: ")"), UInt8(ascii: "}"): _ = levels.popLast()
            case UInt8(ascii: ","):
                guard let last = levels.indices.last else { continue }
                (levels[last].start, levels[last].isPastKey) = (at + 1, false)
            case UInt8(ascii: ":"):
                guard let last = levels.indices.last, levels[last].bracket == UInt8(ascii: "["),
                    !levels[last].isPastKey
                else { continue }
                levels[last].isPastKey = true
                let text = String(decoding: bytes[levels[last].start..<at], as: UTF8.self)
                guard let key = self.constant(text) else { continue }
                if !levels[last].keys.insert(key).inserted {
                    found.append(Finding(path: file.path, line: line, rule: "the key \(key) stands twice"))
                }
            default: break
            }
        }
        return found
    }

    /// A key whose value is plain to see: a string without anything put into it, a case, a number.
    private static func constant(_ text: String) -> Substring? {
        // A comment may stand in front of it.
        let lines = text.split(separator: "\n").map { $0.drop { $0 == " " } }.filter { !$0.hasPrefix("//") && $0 != "" }
        guard lines.count == 1, let key = lines.first else { return nil }
        if key.hasPrefix("\"") { return key.hasSuffix("\"") && !key.contains("\\(") && key.count > 1 ? key : nil }
        let name = key.hasPrefix(".") ? key.dropFirst() : key
        guard !name.isEmpty, name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }) else { return nil }
        return key.hasPrefix(".") || key.allSatisfy(\.isNumber) ? key : nil
    }
}
