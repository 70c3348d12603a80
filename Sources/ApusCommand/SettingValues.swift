import Configuration

/// Reads texts from the providers and says plainly which setting is wrong.
struct SettingValues {
    let reader: ConfigReader

    func text(_ name: String) -> String {
        self.reader.string(forKey: ConfigKey(name), default: "")
    }

    /// Nil when nothing, or nothing but an empty text, was said.
    func optional(_ name: String) -> String? {
        let text = self.text(name)
        return text.isEmpty ? nil : text
    }

    /// Texts with commas between.
    func list(_ name: String) -> [String] {
        self.text(name).split(separator: ",").map { String($0) }
    }

    func parsed<Value>(
        _ name: String, _ parse: (String) throws(CommandFailure) -> Value
    ) throws(CommandFailure) -> Value {
        do {
            return try parse(self.text(name))
        } catch {
            throw self.refusal(name, error.message, next: error.next)
        }
    }

    func flag(_ name: String) throws(CommandFailure) -> Bool {
        switch self.text(name).lowercased() {
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        case let other: throw self.refusal(name, "\"\(other)\" is neither true nor false")
        }
    }

    func number(_ name: String, in range: ClosedRange<Int>) throws(CommandFailure) -> Int {
        let text = self.text(name)
        guard let number = Int(text), range.contains(number) else {
            throw self.refusal(name, "\"\(text)\" is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func word(_ name: String, among words: [String]) throws(CommandFailure) -> String {
        let text = self.text(name)
        guard words.contains(text) else {
            throw self.refusal(name, "\"\(text)\" is not one of \(words.joined(separator: ", "))")
        }
        return text
    }

    private func refusal(_ name: String, _ message: String, next: String? = nil) -> CommandFailure {
        let setting = "--\(name), APUS_\(name.uppercased().replacing("-", with: "_")) or \"\(name)\" in the file"
        return .usage("setting \(name): \(message)", next: next ?? "change \(setting)")
    }
}
