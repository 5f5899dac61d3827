/** A JSON schema in words. Pure; a part is `{words}` or `{schema}`, the name of another one. */

/** What the page calls the place of a schema. */
export function nameOf(schema) {
  return `schema ${schema}`;
}

/** What a value is, in parts: "list of", Detection. */
export function typeOf(schema) {
  if (schema.$ref) return [{ schema: schema.$ref.split("/").at(-1) }];
  if (schema.enum) return words(schema.enum.map((one) => JSON.stringify(one)).join(" or "));
  if ("const" in schema) return words(JSON.stringify(schema.const));
  if (schema.anyOf) return schema.anyOf.flatMap((one, index) => [...words(index ? " or " : ""), ...typeOf(one)]);
  if (schema.type === "array") return [...words("list of "), ...typeOf(schema.items ?? {})];
  if (schema.additionalProperties) return [...words("by name, "), ...typeOf(schema.additionalProperties)];
  if (schema.properties) return words("table");
  return words(`${plainOf(schema)}${limitsOf(schema)}`);
}

/** The fields of a table, those of tables inside it too: `{name: "lanes[].breaker", type, needed}`. */
export function fieldsOf(schema, prefix = "") {
  return Object.entries(schema.properties ?? {}).flatMap(([name, one]) => {
    const [inner, mark] = one.type === "array" ? [one.items ?? {}, "[]"] : [one, ""];
    const field = { name: prefix + name, type: typeOf(one), needed: schema.required?.includes(name) ?? false };
    return [field, ...fieldsOf(inner, `${prefix}${name}${mark}.`)];
  });
}

function plainOf({ type, format, pattern }) {
  if (format === "binary") return "bytes";
  if (pattern) return `text like ${pattern}`;
  return { string: "text", integer: "whole number", boolean: "true or false", object: "table", null: "null" }[type] ?? type ?? "anything";
}

function limitsOf({ minimum, exclusiveMinimum, maximum, minLength, maxLength }) {
  const ends = [["over", exclusiveMinimum], ["from", minimum ?? minLength], ["to", maximum ?? maxLength]];
  const told = ends.filter(([, end]) => end !== undefined).map((end) => end.join(" ")).join(" ");
  return told && `, ${told}${minLength ?? maxLength ? " signs" : ""}`;
}

function words(text) {
  return text ? [{ words: text }] : [];
}
