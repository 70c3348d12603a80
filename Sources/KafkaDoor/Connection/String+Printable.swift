extension String {
    /// The text with everything but printable ASCII escaped, and cut: what a peer calls itself must not be able to end
    /// a log line, colour a terminal or fill a disk.
    func printable(upTo characters: Int) -> String {
        var text = ""
        var count = 0
        for scalar in self.unicodeScalars {
            guard count < characters else { return text + "…" }
            count += 1
            if (0x20...0x7E).contains(scalar.value), scalar != "\\" {
                text.unicodeScalars.append(scalar)
            } else {
                text += "\\u{\(String(scalar.value, radix: 16))}"
            }
        }
        return text
    }
}
