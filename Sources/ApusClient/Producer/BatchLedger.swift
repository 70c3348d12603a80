import DequeModule

/// Which batches are done, so that a flush knows when all before it are. Batches are done in any order.
struct BatchLedger: Sendable {
    /// The number of the first element of `isDone`; all before it are done.
    private var base: UInt64 = 0
    private var isDone: Deque<Bool> = []
    /// Of batches that were split: the parts that must be done before the last.
    private var parts: [BatchNumber: Int] = [:]

    /// One part of the batch has become two.
    mutating func split(_ number: BatchNumber) { self.parts[number, default: 0] += 1 }

    /// - Returns: whether all batches before some higher number are done now.
    mutating func completed(_ number: BatchNumber) -> Bool {
        if let more = self.parts[number] {
            self.parts[number] = more == 1 ? nil : more - 1
            return false
        }
        precondition(number.rawValue >= self.base, "a batch was done twice")
        let index = Int(number.rawValue - self.base)
        while self.isDone.count <= index { self.isDone.append(false) }
        precondition(!self.isDone[index], "a batch was done twice")
        self.isDone[index] = true
        guard index == 0 else { return false }
        while self.isDone.first == true {
            self.isDone.removeFirst()
            self.base += 1
        }
        return true
    }

    func isComplete(below horizon: BatchNumber) -> Bool { self.base >= horizon.rawValue }
}
