package import ApusCore

/// What a request wants changed of rules, credentials or quotas, and what it is to be answered when that is durable.
package struct AccessDraft<Answer: Sendable>: Sendable {
    /// None: nothing is committed, and the answer goes out at once.
    package var changes: [StoreChange]
    package var answer: Answer

    package init(_ changes: [StoreChange], answer: Answer) {
        self.changes = changes
        self.answer = answer
    }
}
