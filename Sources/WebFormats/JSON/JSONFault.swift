/// Why bytes are not JSON as it is taken here. Places count bytes from the start of what was given.
package enum JSONFault: Error, Hashable, Sendable {
    /// The bytes end before the value does.
    case truncated
    /// Nothing that may stand here.
    case unexpected(at: Int)
    /// More arrays and objects inside one another than ``Limits/edgeJSONDepthMax``.
    case tooDeep(at: Int)
    /// Not UTF-8 (RFC 3629): overlong, a surrogate, beyond U+10FFFF, or cut short.
    case notUTF8(at: Int)
    /// Half of a surrogate pair: it is no character, and readers differ in what they make of it.
    case loneSurrogate(at: Int)
    /// Something follows the value.
    case trailing(at: Int)
    /// Two members of one name, at a level that is read: readers differ in which one they take.
    case duplicateName(String)
    /// More members or elements than are taken here.
    case tooMany(limit: Int)
    /// Another kind of value is wanted here.
    case notA(JSONKind)
}

/// The six kinds of JSON values.
package enum JSONKind: String, Hashable, Sendable {
    case null, boolean, number, string, array, object
}
