import ApusCore
import NIOCore
import Testing

@testable import ApusSystem

@Suite struct JournalStateTests {
    let file = DiskPath("topics/a/0/0.log")

    func bytes(_ text: String) -> [ByteBuffer] { [ByteBuffer(string: text)] }

    func wrote(_ text: String, at position: Int64, in state: inout JournalState) {
        state.wrote(
            self.bytes(text), to: self.file, at: FilePosition(rawValue: position), limit: .bytes(100))
    }

    /// Sends what was written through the journal and reports the group done.
    func journal(_ state: inout JournalState) {
        guard case .journal(let entries) = state.planSync(of: self.file, mayJournal: true) else {
            Issue.record("expected a journaled sync")
            return
        }
        let number = state.join(entries)
        let group = state.takeGroup()
        #expect(group.number == number)
        state.finished(group, nil)
        #expect(state.outcome(of: number) == .some(nil))
    }

    @Test("a small sync goes to the journal only when there is company")
    func choosesByCompany() {
        var state = JournalState(generation: 1)
        self.wrote("one", at: 0, in: &state)
        if case .journal = state.planSync(of: self.file, mayJournal: false) { Issue.record("journaled alone") }
        self.wrote("two", at: 3, in: &state)
        if case .direct = state.planSync(of: self.file, mayJournal: true) { Issue.record("not journaled") }
    }

    @Test("a large sync goes to its file")
    func largeIsDirect() {
        var state = JournalState(generation: 1)
        self.wrote(String(repeating: "x", count: 101), at: 0, in: &state)
        guard case .direct(forgets: false) = state.planSync(of: self.file, mayJournal: true) else {
            Issue.record("a large sync was journaled")
            return
        }
    }

    @Test("a direct sync behind the journaled bytes leaves them, one over them voids them")
    func overwritingForgets() {
        var state = JournalState(generation: 1)
        self.wrote("0123456789", at: 0, in: &state)
        self.journal(&state)
        self.wrote("abc", at: 10, in: &state)
        guard case .direct(forgets: false) = state.planSync(of: self.file, mayJournal: false) else {
            Issue.record("an append voided what is before it")
            return
        }
        self.wrote("abc", at: 9, in: &state)
        guard case .direct(forgets: true) = state.planSync(of: self.file, mayJournal: false) else {
            Issue.record("an overwrite left the old bytes to be replayed over it")
            return
        }
    }

    @Test("a failed journal write reaches its waiters and ends the journal")
    func failureEnds() {
        var state = JournalState(generation: 1)
        self.wrote("one", at: 0, in: &state)
        guard case .journal(let entries) = state.planSync(of: self.file, mayJournal: true) else { return }
        let first = state.join(entries)
        let second = state.join([])
        #expect(first == second)
        let error = DiskError(.failed(5), "sync", DiskPath("journal.0"))
        state.finished(state.takeGroup(), error)
        #expect(state.outcome(of: first) == .some(error))
        #expect(state.outcome(of: second) == .some(error))
        self.wrote("two", at: 3, in: &state)
        guard case .direct = state.planSync(of: self.file, mayJournal: true) else {
            Issue.record("a dead journal was given more")
            return
        }
        #expect(state.recyclePlan() == nil)
    }

    @Test("bytes that nobody syncs are not held")
    func boundsWhatIsHeld() {
        var state = JournalState(generation: 1)
        let chunk = ByteBuffer(repeating: 1, count: 1_048_576)
        for index in 0..<100 {
            let path = DiskPath("f\(index)")
            state.wrote([chunk], to: path, at: .start, limit: .mebibytes(2))
        }
        let held = (0..<100).filter { index in
            if case .journal = state.planSync(of: DiskPath("f\(index)"), mayJournal: true) { return true }
            return false
        }
        #expect(held.count == 64)
    }
}

extension JournalState.Recycle: Equatable {
    static func == (left: Self, right: Self) -> Bool {
        left.file == right.file && left.generation == right.generation
    }
}

@Suite struct JournalEntryTests {
    let entry = JournalEntry(
        .write, DiskPath("topics/a/0/0.log"), at: FilePosition(rawValue: 77), payload: [ByteBuffer(string: "payload")])

    func encoded() -> ByteBuffer {
        var bytes = self.entry.head(generation: 3, sequence: 9)
        for chunk in self.entry.payload { bytes.writeImmutableBuffer(chunk) }
        return bytes
    }

    @Test("an entry reads back")
    func roundTrip() {
        var bytes = self.encoded()
        #expect(bytes.readableBytes == self.entry.byteCount.rawValue)
        let read = JournalEntry.next(in: &bytes, generation: 3, sequence: 9)
        #expect(read?.path == self.entry.path)
        #expect(read?.position == self.entry.position)
        #expect(read?.payload == self.entry.payload)
        #expect(bytes.readableBytes == 0)
    }

    @Test("an entry of another life of the file, or out of its order, is not taken")
    func otherLives() {
        var bytes = self.encoded()
        #expect(JournalEntry.next(in: &bytes, generation: 2, sequence: 9) == nil)
        #expect(JournalEntry.next(in: &bytes, generation: 3, sequence: 8) == nil)
        #expect(bytes.readableBytes == self.encoded().readableBytes)
    }

    @Test("an entry with any bit flipped, or cut anywhere, is not taken")
    func damage() {
        let good = self.encoded()
        for index in 0..<good.readableBytes {
            var flipped = good
            flipped.setInteger(good.getInteger(at: index, as: UInt8.self)! ^ 0x10, at: index)
            #expect(JournalEntry.next(in: &flipped, generation: 3, sequence: 9) == nil)
            var cut = good.getSlice(at: 0, length: index)!
            #expect(JournalEntry.next(in: &cut, generation: 3, sequence: 9) == nil)
        }
    }
}
