/// Rows of one kind of thing, printable in every output format. The keys are part of the interface: never rename one.
package struct Listing: Sendable {
    package struct Column: Sendable {
        /// In JSON, snake_case.
        package var key: String
        /// Over the table, capitals.
        package var title: String
        package var isNumber: Bool

        package init(_ key: String, _ title: String? = nil, isNumber: Bool = false) {
            self.key = key
            self.title = title ?? key.uppercased().replacing("_", with: "-")
            self.isNumber = isNumber
        }
    }

    package var columns: [Column]
    package var rows: [[Cell]] = []

    package init(_ columns: [Column]) {
        self.columns = columns
    }

    /// Adds a row; it must have a cell for each column.
    package mutating func add(_ cells: [Cell]) {
        precondition(
            cells.count == self.columns.count, "a row of \(cells.count) cells in \(self.columns.count) columns")
        self.rows.append(cells)
    }

    package func rendered(as format: OutputFormat) -> String {
        switch format {
        case .table: self.table
        case .json: self.json.pretty + "\n"
        case .ndjson: self.objects.map { $0.compact + "\n" }.joined()
        case .raw: self.rows.map { $0.map(\.value.bare).joined(separator: "\t") + "\n" }.joined()
        }
    }

    package var json: JSON { .array(self.objects) }

    private var objects: [JSON] {
        self.rows.map { row in .object(zip(self.columns, row).map { ($0.key, $1.value) }) }
    }

    /// Columns two spaces apart, numbers to the right, nothing behind the last column.
    private var table: String {
        let widths = self.columns.indices.map { column in
            self.rows.reduce(self.columns[column].title.count) { max($0, $1[column].text.count) }
        }
        func line(_ texts: [String]) -> String {
            var line = ""
            for (index, text) in texts.enumerated() {
                let padding = String(repeating: " ", count: widths[index] - text.count)
                line += (index > 0 ? "  " : "") + (self.columns[index].isNumber ? padding + text : text + padding)
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }
        return line(self.columns.map(\.title)) + self.rows.map { line($0.map(\.text)) }.joined()
    }
}

/// One value: as a program reads it, and as a person does.
package struct Cell: Sendable {
    package var value: JSON
    package var text: String

    package init(_ value: JSON, text: String) {
        self.value = value
        self.text = text
    }

    /// What a table shows where nothing applies.
    package static let nothing = Cell(.null, text: "-")

    package static func text(_ text: String) -> Cell { Cell(.string(text), text: text) }
    package static func flag(_ value: Bool) -> Cell { Cell(.bool(value), text: value ? "yes" : "no") }
    package static func count(_ value: some BinaryInteger) -> Cell {
        Cell(.integer(Int64(clamping: value)), text: Numbers.grouped(Int64(clamping: value)))
    }
    /// An offset, an id: a number that is copied, so without separators.
    package static func number(_ value: some BinaryInteger) -> Cell {
        Cell(.integer(Int64(clamping: value)), text: String(value))
    }
    package static func list(_ values: [Int32]) -> Cell {
        Cell(.array(values.map { .integer(Int64($0)) }), text: values.map(String.init).joined(separator: ","))
    }
}
