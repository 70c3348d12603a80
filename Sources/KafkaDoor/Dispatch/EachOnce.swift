extension Sequence {
    /// The first of those that have one key, in their order.
    ///
    /// What a request names twice is answered once: an answer that repeats something large for each few bytes of a
    /// request has no bound.
    func eachOnce<Key: Hashable>(by key: (Element) -> Key) -> [Element] {
        var seen: Set<Key> = []
        return self.filter { seen.insert(key($0)).inserted }
    }
}
