import ApusCore

/// A regular expression that subscribes to topics: a name counts when the pattern matches all of it.
///
/// Whoever may join a group may send any pattern, and the loop that matches it serves others. So the matcher never goes
/// back: it walks the name once with the set of all places of the pattern where it could be (Thompson 1968), and a name
/// of n characters costs at most n × size steps, whatever the pattern. `size` is bounded when the pattern is read.
package struct TopicRegex: Hashable, Sendable {
    package let text: String
    let program: PatternProgram

    /// - Throws: what is wrong with it, for INVALID_REGULAR_EXPRESSION.
    package init(_ text: String) throws(PatternError) {
        guard text.utf8.count <= Limits.topicPatternBytesMax else {
            throw PatternError("longer than \(Limits.topicPatternBytesMax) bytes")
        }
        self.text = text
        self.program = try PatternProgram(PatternParser.parse(text))
    }

    package static func == (left: TopicRegex, right: TopicRegex) -> Bool { left.text == right.text }
    package func hash(into hasher: inout Hasher) { hasher.combine(self.text) }

    /// Whether it matches all of `name`. For many names keep one `PatternMatcher`.
    package func matches(_ name: String) -> Bool {
        var matcher = PatternMatcher(self)
        return matcher.matches(name)
    }
}
