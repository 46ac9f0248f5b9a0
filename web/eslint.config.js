// What the compiler cannot know: no text of a stranger's may become markup, and nothing may leave the page.
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "node_modules"] },
  {
    files: ["src/**/*.ts", "tests/**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // numbers in texts are what these pages are made of
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // node's test runner collects the promises of its tests itself
      "@typescript-eslint/no-floating-promises": [
        "error",
        { allowForKnownSafeCalls: [{ from: "package", package: "node:test", name: ["test", "describe", "it"] }] },
      ],
      eqeqeq: "error",
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "cssText"].map((property) => ({
          property,
          message: "peer-chosen text is text: use dom.ts",
        })),
        { object: "document", property: "write" },
      ],
      "no-restricted-globals": ["error", "eval", "Function", "XMLHttpRequest"],
    },
  },
);
