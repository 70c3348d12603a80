/// Whether to write colour, and how. Off unless standard error or output is a terminal that wants it.
package struct Palette: Hashable, Sendable {
    package var isColoured: Bool

    package static let plain = Palette(isColoured: false)

    package init(isColoured: Bool) {
        self.isColoured = isColoured
    }

    /// `NO_COLOR` (no-color.org) set to anything but the empty string, and `TERM=dumb`, turn colour off.
    package init(isTerminal: Bool, environment: [String: String]) {
        let refused = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
        self.isColoured = isTerminal && !refused
    }

    package func bold(_ text: String) -> String { self.wrap(text, "1") }
    package func dim(_ text: String) -> String { self.wrap(text, "2") }
    package func red(_ text: String) -> String { self.wrap(text, "31") }
    package func green(_ text: String) -> String { self.wrap(text, "32") }

    private func wrap(_ text: String, _ code: String) -> String {
        self.isColoured ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
