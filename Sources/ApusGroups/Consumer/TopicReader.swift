/// Who subscribes by a pattern, as far as it decides which topics the pattern stands for: those that he may DESCRIBE.
/// Members with one pattern and other rights are told of other topics. Where nobody needs rights nobody is one.
package struct TopicReader: Hashable, Comparable, Sendable {
    /// As `User:alice`.
    package let principal: String
    /// Where he connects from, as Kafka writes it: `/10.0.0.1`.
    package let host: String

    package init(principal: String, host: String) {
        self.principal = principal
        self.host = host
    }

    package static func < (left: TopicReader, right: TopicReader) -> Bool {
        (left.principal, left.host) < (right.principal, right.host)
    }
}
