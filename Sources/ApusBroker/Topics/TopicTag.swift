import ApusCore

/// What may be changed of a topic, as one number: its id, how many partitions it has, and what it sets. Two states of a
/// topic have different ones, as far as 64 bits go; the same state has the same, on every broker and after a restart.
package struct TopicTag: Hashable, Sendable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

extension Topic {
    package var tag: TopicTag {
        // FNV-1a: nobody gains anything by two states with one number.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ text: String) {
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            hash = (hash ^ 0xFF) &* 0x100_0000_01B3
        }
        add(self.id.description)
        add("\(self.partitionCount)")
        for (name, value) in self.configuration.overrides.sorted(by: { $0.key < $1.key }) {
            add(name)
            add(value)
        }
        return TopicTag(rawValue: hash)
    }

    /// - Parameter expected: nil: whatever it is.
    func check(_ expected: Set<TopicTag>?) throws(BrokerError) {
        guard expected?.contains(self.tag) ?? true else {
            throw .changed("topic '\(self.name)' is not what it was when it was looked at")
        }
    }
}
