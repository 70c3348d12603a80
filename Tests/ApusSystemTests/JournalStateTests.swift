import ApusCore
import NIOCore
import Testing

@testable import ApusSystem

@Suite struct JournalStateTests {
    let file = DiskPath("topics/a/0/0.log")

    func entry(at position: Int64, _ text: String = "0123456789") -> JournalEntry {
        JournalEntry(.write, self.file, at: FilePosition(rawValue: position), payload: [ByteBuffer(string: text)])
    }

    @Test("a file with bytes written beside the journal is not journaled before they are synced")
    func mixedWriters() {
        var state = JournalState(generation: 1)
        #expect(state.mayJournal(self.file))
        state.writeBegins(self.file, at: .start)
        state.writeEnded(self.file)
        #expect(!state.mayJournal(self.file))
        let sync = state.syncBegins(self.file)
        #expect(!state.mayJournal(self.file))
        #expect(state.syncSucceeded(self.file, sync) == .done)
        #expect(state.mayJournal(self.file))
    }

    @Test("a sync does not speak for writes that began before it and ended later, or began later")
    func concurrentWrites() {
        var state = JournalState(generation: 1)
        state.writeBegins(self.file, at: .start)
        let early = state.syncBegins(self.file)
        state.writeEnded(self.file)
        #expect(state.syncSucceeded(self.file, early) == .done)
        #expect(!state.mayJournal(self.file))
        let late = state.syncBegins(self.file)
        state.writeBegins(self.file, at: .start)
        state.writeEnded(self.file)
        #expect(state.syncSucceeded(self.file, late) == .done)
        #expect(!state.mayJournal(self.file))
    }

    @Test("a direct write behind the journaled bytes leaves them, one over them voids them at its sync")
    func overwritingForgets() throws {
        var state = JournalState(generation: 1)
        _ = try state.append([self.entry(at: 0)])
        state.writeBegins(self.file, at: FilePosition(rawValue: 10))
        state.writeEnded(self.file)
        #expect(state.syncSucceeded(self.file, state.syncBegins(self.file)) == .done)
        state.writeBegins(self.file, at: FilePosition(rawValue: 9))
        state.writeEnded(self.file)
        let early = state.syncBegins(self.file)
        _ = try state.append([self.entry(at: 10)])
        #expect(state.syncSucceeded(self.file, early) == .syncAgain)
        let sync = state.syncBegins(self.file)
        #expect(state.syncSucceeded(self.file, sync) == .voidEntries)
        #expect(state.hasEntries(self.file))
        #expect(!state.mayJournal(self.file))
        state.voided(self.file, sync)
        #expect(state.liveFiles == [])
        #expect(state.mayJournal(self.file))
    }

    @Test("entries follow one another in the file, and the next life begins at its start")
    func positions() throws {
        var state = JournalState(generation: 7)
        let first = try state.append([self.entry(at: 0), self.entry(at: 10)])
        #expect(first.file == 0)
        #expect(first.position == FilePosition(rawValue: Int64(JournalHeader.byteCount)))
        let second = try state.append([self.entry(at: 20)])
        let bytes = first.bytes.reduce(0) { $0 + $1.readableBytes }
        #expect(second.position == first.position.advanced(by: .bytes(bytes)))
        #expect(state.isFull(.bytes(bytes)))

        let next = try #require(state.nextFile)
        #expect(next == JournalState.NextFile(file: 1, generation: 8, entriesOfOther: 3))
        #expect(state.take(next) == 1)
        #expect(!state.isChecked)
        let third = try state.append([self.entry(at: 30)])
        #expect(third.file == 1)
        #expect(third.position == first.position)
    }

    @Test("a journal that failed takes no more and is never written over")
    func failureEnds() throws {
        var state = JournalState(generation: 1)
        let error = DiskError(.failed(5), "sync", DiskPath("journal.0"))
        state.fail(error)
        #expect(throws: error) { try state.append([self.entry(at: 0)]) }
        #expect(!state.mayJournal(self.file))
        #expect(state.nextFile == nil)
    }

    @Test("a file that can not be synced at its checkpoint ends the journal; voids are still taken")
    func checkpointFails() throws {
        var state = JournalState(generation: 1)
        _ = try state.append([self.entry(at: 0)])
        let next = try #require(state.nextFile)
        #expect(state.take(next) == 1)
        #expect(state.nextToCheck() == self.file)
        #expect(state.nextToCheck() == nil)
        #expect(!state.isChecked)
        state.checked(DiskError(.failed(5), "sync", self.file))
        #expect(state.isChecked)
        #expect(state.nextFile == nil)
        #expect(!state.mayJournal(DiskPath("other")))
        _ = try state.append([JournalEntry(.forgetFile, DiskPath("other"))])
    }
}

@Suite struct JournalEntryTests {
    let entry = JournalEntry(
        .write, DiskPath("topics/a/0/0.log"), at: FilePosition(rawValue: 77), payload: [ByteBuffer(string: "payload")])

    func encoded() -> ByteBuffer {
        var bytes = self.entry.head(generation: 3, sequence: 9, salt: 5, indexInWrite: 2)
        for chunk in self.entry.payload { bytes.writeImmutableBuffer(chunk) }
        return bytes
    }

    @Test("an entry reads back")
    func roundTrip() {
        let bytes = self.encoded()
        #expect(bytes.readableBytes == self.entry.byteCount.rawValue)
        let read = JournalEntry.read(bytes, generation: 3, salt: 5)
        #expect(read?.entry.path == self.entry.path)
        #expect(read?.entry.position == self.entry.position)
        #expect(read?.entry.payload == self.entry.payload)
        #expect(read?.byteCount == bytes.readableBytes)
        #expect(read?.sequence == 9 && read?.writeBegan == 7)
    }

    @Test("an entry of another life of the file, or of somebody who does not know its salt, is not taken")
    func otherLives() {
        #expect(JournalEntry.read(self.encoded(), generation: 2, salt: 5) == nil)
        #expect(JournalEntry.read(self.encoded(), generation: 3, salt: 4) == nil)
        #expect(JournalEntry.read(self.encoded(), generation: 3) == nil)
    }

    @Test("which write an entry came with is told up to 254 entries, and never by entries from before it was")
    func writes() {
        func began(_ index: Int?, _ sequence: UInt64 = 1000) -> UInt64? {
            var bytes = self.entry.head(generation: 3, sequence: sequence, indexInWrite: index)
            for chunk in self.entry.payload { bytes.writeImmutableBuffer(chunk) }
            return JournalEntry.read(bytes, generation: 3)?.writeBegan
        }
        #expect(began(0) == 1000)
        #expect(began(253) == 747)
        #expect(began(254) == nil)
        #expect(began(1_000_000) == nil)
        #expect(began(nil) == nil)
        #expect(began(7, 3) == nil)
    }

    @Test("a header reads back, also one from before there was a salt, and not with any byte changed")
    func header() throws {
        let header = JournalHeader(generation: 7, salt: 9, entriesOfOther: 11)
        #expect(JournalHeader(header.encoded()) == header)
        for index in 0..<JournalHeader.byteCount {
            var bytes = header.encoded()
            bytes.setInteger(try #require(bytes.getInteger(at: index, as: UInt8.self)) ^ 1, at: index)
            #expect(JournalHeader(bytes) == nil)
        }
        var old = header.encoded()
        old.setRepeatingByte(0, count: 12, at: 20)
        #expect(JournalHeader(old) == JournalHeader(generation: 7))
    }

    @Test("an entry with any bit flipped, or cut anywhere, is not taken")
    func damage() {
        let good = self.encoded()
        for index in 0..<good.readableBytes {
            var flipped = good
            flipped.setInteger(good.getInteger(at: index, as: UInt8.self)! ^ 0x10, at: index)
            #expect(JournalEntry.read(flipped, generation: 3, salt: 5) == nil)
            let cut = good.getSlice(at: 0, length: index)!
            #expect(JournalEntry.read(cut, generation: 3, salt: 5) == nil)
        }
    }
}
